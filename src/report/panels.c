/* Line charts side by side: loss and accuracy, speed over threads.
 *
 * Each panel is a column: title, legend, axes. Ticks are 1, 2 or 5 times a power of ten. The legend
 * stands above the axes, where no curve can run behind it. No state; one picture per call.
 */
#include "report/canvas.h"

#include <float.h>
#include <math.h>

enum {
    PLOT_W = 520,
    PLOT_H = 320,
    LEFT = 82, /* from a panel's edge to its y axis: label, numbers */
    RIGHT = 28,
    MARGIN = 26,
    TITLE = 42,       /* height of the picture's title */
    PANEL_TITLE = 28, /* of a panel's */
    LEGEND_ROW = 22,
    BELOW = 58, /* under the x axis: numbers, label */
    X_TICKS = 7,
    Y_TICKS = 6,
    CHUNK = 512, /* points of a curve stroked at once: cairo's time grows faster than the number */
};

static const tr_font panel_font = {15, true, {0.13, 0.15, 0.18}};
static const tr_font label_font = {13, false, {0.13, 0.15, 0.18}};
static const tr_font tick_font = {12, false, {0.42, 0.45, 0.50}};

typedef struct axis {
    double low, high;      /* shown */
    double first, step;    /* ticks: first, first + step, ... up to high */
    double origin, length; /* units: position of low, signed length to high */
} axis;

static double place(const axis *a, double value) {
    return a->origin + a->length * ((value - a->low) / (a->high - a->low));
}

/* The smallest of 1, 2, 5 times a power of ten that makes at most n steps of the range. */
static double nice_step(double range, int n) {
    double rough = range / n;
    double power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    /* The slack lets 0.2 count as 0.2 where the division made it 0.20000000000000001. */
    double slack = 1 + 1e-9;
    return power * (lead <= slack ? 1 : lead <= 2 * slack ? 2 : lead <= 5 * slack ? 5 : 10);
}

/* Choose ticks. `whole`: the values are integers, so halves between them mean nothing. `grow`:
 * widen the range to the next ticks. */
static void set_axis(axis *a, double low, double high, int n_ticks, bool whole, bool grow) {
    /* The difference of two doubles must be one. */
    low = fmax(low, -DBL_MAX / 4);
    high = fmin(high, DBL_MAX / 4);
    if (!(low <= high)) low = 0, high = 1;
    double size = fmax(fabs(low), fabs(high));
    /* One value, or values that differ by rounding alone, get some room around them. The lower
     * limit keeps the power of ten of the step a normal number. */
    if (high - low <= 1e-9 * size || high - low < 1e-290) {
        double room = size < 1e-280 ? 0.5 : whole ? fmax(1, 0.05 * size) : 0.05 * size;
        low -= room;
        high += room;
    }
    double step = nice_step(high - low, n_ticks);
    if (whole) step = fmax(step, 1);
    if (grow) {
        low = step * floor(low / step + 1e-6);
        high = step * ceil(high / step - 1e-6);
    }
    a->low = low;
    a->high = high;
    a->step = step;
    a->first = step * ceil(low / step - 1e-6);
}

static void tick_text(double value, double step, char out[32]) {
    /* What rounding left of zero. */
    if (fabs(value) < step * 1e-6) value = 0;
    double size = fabs(value);
    if (step >= 1 && size < 1e9)
        tr_format_count(llround(value), out);
    else if (step >= 1e-5 && step < 1 && size < 1e6)
        snprintf(out, 32, "%.*f", (int)-floor(log10(step) + 1e-9), value);
    else
        snprintf(out, 32, "%.6g", value);
}

static bool finite_point(const tr_series *series, int i) {
    return isfinite(series->x[i]) && isfinite(series->y[i]);
}

/* The axes of a panel whose plot has its upper left corner at (x, y). */
static void set_axes(const tr_panel *panel, double x, double y, axis *ax, axis *ay) {
    double x_low = INFINITY, x_high = -INFINITY, y_low = INFINITY, y_high = -INFINITY;
    bool whole = true;
    for (int s = 0; s < panel->n_series; s++)
        for (int i = 0; i < panel->series[s].n; i++) {
            if (!finite_point(&panel->series[s], i)) continue;
            double px = panel->series[s].x[i], py = panel->series[s].y[i];
            x_low = fmin(x_low, px), x_high = fmax(x_high, px);
            y_low = fmin(y_low, py), y_high = fmax(y_high, py);
            whole = whole && px == floor(px);
        }
    /* Not on the axis itself: some air on both sides. */
    double air = x_high > x_low ? 0.02 * (x_high - x_low) : 0;
    set_axis(ax, x_low, x_high, X_TICKS, whole, false);
    ax->low -= air;
    ax->high += air;
    bool fixed = panel->y_min < panel->y_max && isfinite(panel->y_max - panel->y_min);
    if (fixed)
        set_axis(ay, panel->y_min, panel->y_max, Y_TICKS, false, false);
    else
        set_axis(ay, y_low, y_high, Y_TICKS, false, true);
    ax->origin = x, ax->length = PLOT_W;
    ay->origin = y + PLOT_H, ay->length = -PLOT_H;
}

static void draw_axes(tr_canvas *canvas, const tr_panel *panel, const axis *ax, const axis *ay) {
    double x0 = ax->origin, y0 = ay->origin, x1 = x0 + PLOT_W, y1 = y0 - PLOT_H;
    char text[32];
    for (int i = 0; i <= 2 * Y_TICKS; i++) {
        double value = ay->first + i * ay->step;
        if (value > ay->high + 1e-6 * ay->step) break;
        double y = place(ay, value);
        tr_canvas_line(canvas, x0, y, x1, y, 1, tr_rule);
        tick_text(value, ay->step, text);
        tr_canvas_text(canvas, tick_font, x0 - 9, y + 4.3, 1, 0, text);
    }
    for (int i = 0; i <= 2 * X_TICKS; i++) {
        double value = ax->first + i * ax->step;
        if (value > ax->high + 1e-6 * ax->step) break;
        double x = place(ax, value);
        tr_canvas_line(canvas, x, y0, x, y1, 1, tr_rule);
        tr_canvas_line(canvas, x, y0, x, y0 + 5, 1, tr_muted);
        tick_text(value, ax->step, text);
        tr_canvas_text(canvas, tick_font, x, y0 + 20, 0.5, 0, text);
    }
    tr_canvas_line(canvas, x0, y0, x1, y0, 1.2, tr_muted);
    tr_canvas_line(canvas, x0, y0, x0, y1, 1.2, tr_muted);
    tr_canvas_text(canvas, label_font, (x0 + x1) / 2, y0 + 44, 0.5, PLOT_W, panel->x_label);
    tr_canvas_text_up(canvas, label_font, x0 - LEFT + 20, (y0 + y1) / 2, 0.5, PLOT_H,
                      panel->y_label);
}

static void draw_mark(tr_canvas *canvas, double x, double y, tr_rgb colour) {
    cairo_new_path(canvas->cr);
    cairo_arc(canvas->cr, x, y, 4, 0, 4 * acos(0));
    tr_canvas_colour(canvas, colour);
    cairo_fill_preserve(canvas->cr);
    tr_canvas_colour(canvas, tr_paper);
    cairo_set_line_width(canvas->cr, 1.2);
    cairo_stroke(canvas->cr);
}

static void set_pen(tr_canvas *canvas, int index) {
    static const double dashes[] = {7, 4};
    tr_canvas_colour(canvas, tr_series_colour(index));
    cairo_set_line_width(canvas->cr, 2.2);
    cairo_set_line_cap(canvas->cr, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(canvas->cr, CAIRO_LINE_JOIN_ROUND);
    /* Where the colours start again, the line is dashed. */
    cairo_set_dash(canvas->cr, dashes, index / TR_PALETTE % 2 ? 2 : 0, 0);
}

static void draw_series(tr_canvas *canvas, const tr_series *series, int index, const axis *ax,
                        const axis *ay) {
    cairo_t *cr = canvas->cr;
    cairo_save(cr);
    /* Curves stay inside the axes, give or take half a pen. */
    cairo_rectangle(cr, ax->origin, ay->origin - PLOT_H - 1.1, PLOT_W, PLOT_H + 2.2);
    cairo_clip(cr);
    set_pen(canvas, index);
    cairo_new_path(cr);
    int in_path = 0;
    for (int i = 0; i < series->n; i++) {
        if (!finite_point(series, i)) { /* a gap in the curve */
            in_path = 0;
            continue;
        }
        double x = place(ax, series->x[i]), y = place(ay, series->y[i]);
        /* cairo counts in 24.8 bits: far outside the picture is as good as infinitely far. */
        y = fmax(fmin(y, 4 * PLOT_H), -4 * PLOT_H);
        if (in_path == CHUNK) {
            cairo_line_to(cr, x, y);
            cairo_stroke(cr);
            in_path = 0;
        }
        if (in_path == 0)
            cairo_move_to(cr, x, y);
        else
            cairo_line_to(cr, x, y);
        in_path++;
    }
    cairo_stroke(cr);
    cairo_restore(cr);
    for (int i = 0; i < series->n; i++) {
        if (!finite_point(series, i)) continue;
        bool alone = (i == 0 || !finite_point(series, i - 1)) &&
                     (i + 1 == series->n || !finite_point(series, i + 1));
        double y = series->y[i], slack = 1e-6 * ay->step; /* as in the choice of the limits */
        bool inside = y >= ay->low - slack && y <= ay->high + slack;
        if ((series->points || alone) && inside)
            draw_mark(canvas, place(ax, series->x[i]), place(ay, y), tr_series_colour(index));
    }
}

/* Lay the legend out from (x, y) on, at most PLOT_W wide, and draw it unless `only_count`. Returns
 * its rows. */
static int legend(tr_canvas *canvas, const tr_panel *panel, double x, double y, bool only_count) {
    enum { SWATCH = 24, SPACE = 7, GAP = 22 };
    double at = 0;
    int rows = 0;
    for (int s = 0; s < panel->n_series; s++) {
        const char *name = panel->series[s].name;
        if (!name || !*name) continue;
        double most = PLOT_W - SWATCH - SPACE;
        double width = SWATCH + SPACE + fmin(tr_canvas_measure(canvas, label_font, name), most);
        if (rows == 0 || at + width > PLOT_W) {
            rows++;
            at = 0;
        }
        if (!only_count) {
            double line_y = y + LEGEND_ROW * (rows - 1) - 4.5;
            cairo_save(canvas->cr);
            set_pen(canvas, s);
            cairo_set_line_width(canvas->cr, 3);
            cairo_move_to(canvas->cr, x + at + 2, line_y);
            cairo_line_to(canvas->cr, x + at + SWATCH - 2, line_y);
            cairo_stroke(canvas->cr);
            cairo_restore(canvas->cr);
            if (panel->series[s].points)
                draw_mark(canvas, x + at + SWATCH / 2.0, line_y, tr_series_colour(s));
            tr_canvas_text(canvas, label_font, x + at + SWATCH + SPACE, line_y + 4.5, 0, most,
                           name);
        }
        at += width + GAP;
    }
    return rows;
}

static void draw_panel(tr_canvas *canvas, const tr_panel *panel, double x, double y,
                       int legend_rows) {
    tr_canvas_text(canvas, panel_font, x, y + 14, 0, PLOT_W, panel->title);
    legend(canvas, panel, x, y + PANEL_TITLE + 14, false);
    y += PANEL_TITLE + legend_rows * LEGEND_ROW + 10;
    axis ax, ay;
    set_axes(panel, x, y, &ax, &ay);
    draw_axes(canvas, panel, &ax, &ay);
    bool any = false;
    for (int s = 0; s < panel->n_series; s++) {
        draw_series(canvas, &panel->series[s], s, &ax, &ay);
        for (int i = 0; i < panel->series[s].n; i++)
            any = any || finite_point(&panel->series[s], i);
    }
    if (!any)
        tr_canvas_text(canvas, tick_font, x + PLOT_W / 2.0, y + PLOT_H / 2.0, 0.5, 0, "no data");
}

int tr_draw_panels(const char *path, const char *title, const tr_panel *panels, int n,
                   tr_error *err) {
    tr_canvas canvas = {0};
    int rc = tr_canvas_open(&canvas, 1, 1, err); /* to measure with */
    if (rc) return rc;
    int legend_rows = 0;
    for (int i = 0; i < n; i++)
        legend_rows = (int)tr_max(legend_rows, legend(&canvas, &panels[i], 0, 0, true));
    tr_canvas_close(&canvas);

    double panel_w = LEFT + PLOT_W + RIGHT;
    double width = 2.0 * MARGIN + panel_w * (double)tr_max(n, 1);
    double top = MARGIN + (title ? TITLE : 0);
    double height = top + PANEL_TITLE + legend_rows * LEGEND_ROW + 10 + PLOT_H + BELOW + MARGIN;
    rc = tr_canvas_open(&canvas, width, height, err);
    if (rc) return rc;
    tr_canvas_text(&canvas, tr_font_title, width / 2, MARGIN + 14, 0.5, width - 2 * MARGIN, title);
    for (int i = 0; i < n; i++)
        draw_panel(&canvas, &panels[i], MARGIN + i * panel_w + LEFT, top, legend_rows);
    if (n < 1) tr_canvas_text(&canvas, tick_font, width / 2, height / 2, 0.5, 0, "no data");
    rc = tr_canvas_save(&canvas, path, err);
    tr_canvas_close(&canvas);
    return rc;
}
