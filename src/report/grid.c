/* Images in a grid, each with a title and a subtitle: samples and predictions.
 *
 * Small images are enlarged by an integer, smoothly: the eye finds the object sooner than among
 * squares. Large ones are reduced. No state; one picture per call.
 */
#include "report/canvas.h"

#include <math.h>
#include <string.h>

enum {
    IMAGE = 128, /* units of an image's longer side at most */
    GAP = 22,
    MARGIN = 30,
    TITLE = 40, /* height of the picture's title */
    LINE = 19,  /* height of a line under an image */
    PIXELS = 8, /* from this scale on a pixel is drawn as a square */
    MAX_SIDE = 16384,
    MAX_ROW = 100, /* images side by side */
};

static const tr_font title_font = {14, false, {0.13, 0.15, 0.18}};
static const tr_font subtitle_font = {13, false, {0.42, 0.45, 0.50}};

/* The image as a cairo surface. */
static int image_surface(const tr_cell *cell, cairo_surface_t **out, tr_error *err) {
    if (cell->h < 1 || cell->w < 1 || cell->c < 1 || cell->h > MAX_SIDE || cell->w > MAX_SIDE)
        return tr_fail(err, TR_EDATA, "an image of %d x %d pixels and %d channels cannot be drawn",
                       cell->h, cell->w, cell->c);
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, cell->w, cell->h);
    if (cairo_surface_status(surface) != CAIRO_STATUS_SUCCESS) {
        cairo_surface_destroy(surface);
        return tr_fail(err, TR_ENOMEM, "no memory for an image of %d x %d pixels", cell->h,
                       cell->w);
    }
    cairo_surface_flush(surface);
    unsigned char *data = cairo_image_surface_get_data(surface);
    size_t pitch = (size_t)cairo_image_surface_get_stride(surface);
    size_t plane = (size_t)cell->h * (size_t)cell->w;
    size_t step = cell->c >= 3 ? plane : 0; /* grey: the same plane three times */
    for (int y = 0; y < cell->h; y++)
        for (int x = 0; x < cell->w; x++) {
            const unsigned char *p = cell->pixels + (size_t)y * (size_t)cell->w + (size_t)x;
            uint32_t pixel = (uint32_t)p[0] << 16 | (uint32_t)p[step] << 8 | p[2 * step];
            memcpy(data + (size_t)y * pitch + 4 * (size_t)x, &pixel, sizeof pixel);
        }
    cairo_surface_mark_dirty(surface);
    *out = surface;
    return TR_OK;
}

/* Draw the image in the middle of the square at (x, y). */
static int draw_image(tr_canvas *canvas, const tr_cell *cell, double x, double y, tr_error *err) {
    cairo_surface_t *surface = NULL;
    int rc = image_surface(cell, &surface, err);
    if (rc) return rc;
    double longer = (double)tr_max(cell->h, cell->w);
    double scale = longer <= IMAGE ? floor(IMAGE / longer) : IMAGE / longer;
    double w = cell->w * scale, h = cell->h * scale;
    x += (IMAGE - w) / 2;
    y += (IMAGE - h) / 2;
    cairo_save(canvas->cr);
    cairo_user_to_device(canvas->cr, &x, &y); /* on whole pixels, for crisp edges */
    x = round(x);
    y = round(y);
    cairo_device_to_user(canvas->cr, &x, &y);
    cairo_translate(canvas->cr, x, y);
    cairo_scale(canvas->cr, scale, scale);
    cairo_set_source_surface(canvas->cr, surface, 0, 0);
    /* Of a tiny image the pixels are what there is to see, and they pack well. */
    cairo_pattern_set_filter(cairo_get_source(canvas->cr), scale >= PIXELS ? CAIRO_FILTER_NEAREST
                                                           : scale > 1     ? CAIRO_FILTER_BILINEAR
                                                                           : CAIRO_FILTER_BEST);
    cairo_pattern_set_extend(cairo_get_source(canvas->cr), CAIRO_EXTEND_PAD);
    cairo_rectangle(canvas->cr, 0, 0, cell->w, cell->h);
    cairo_fill(canvas->cr);
    cairo_restore(canvas->cr);
    cairo_surface_destroy(surface);
    return TR_OK;
}

/* A check mark or a cross of about `size` units, left end at x, on the base line y: the verdict for
 * readers who cannot distinguish red from green. */
static void draw_verdict(tr_canvas *canvas, bool right, double x, double y, double size) {
    cairo_t *cr = canvas->cr;
    tr_canvas_colour(canvas, right ? tr_right : tr_wrong);
    cairo_set_line_width(cr, size / 5);
    cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
    cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
    if (right) {
        cairo_move_to(cr, x, y - 0.35 * size);
        cairo_line_to(cr, x + 0.35 * size, y);
        cairo_line_to(cr, x + size, y - 0.85 * size);
    } else {
        cairo_move_to(cr, x + 0.1 * size, y);
        cairo_line_to(cr, x + 0.9 * size, y - 0.8 * size);
        cairo_move_to(cr, x + 0.1 * size, y - 0.8 * size);
        cairo_line_to(cr, x + 0.9 * size, y);
    }
    cairo_stroke(cr);
}

static void draw_subtitle(tr_canvas *canvas, const tr_cell *cell, double x, double y) {
    enum { MARK = 10, SPACE = 6 };
    tr_font font = subtitle_font;
    double lead = 0;
    if (cell->verdict >= 0) {
        font.colour = cell->verdict ? tr_right : tr_wrong;
        font.bold = true;
        lead = MARK + SPACE;
    }
    double width = fmin(tr_canvas_measure(canvas, font, cell->subtitle), IMAGE - lead);
    double left = x + (IMAGE - width - lead) / 2;
    if (lead > 0) draw_verdict(canvas, cell->verdict != 0, left, y, MARK);
    tr_canvas_text(canvas, font, left + lead, y, 0, IMAGE - lead, cell->subtitle);
}

int tr_draw_grid(const char *path, const char *title, const tr_cell *cells, int n, int columns,
                 tr_error *err) {
    bool titles = false, subtitles = false;
    for (int i = 0; i < n; i++) {
        titles |= cells[i].title != NULL;
        subtitles |= cells[i].subtitle != NULL;
    }
    columns = (int)tr_max(1, tr_min(tr_min(columns, n), MAX_ROW));
    int rows = n > 0 ? (n - 1) / columns + 1 : 1;
    double cell_h = IMAGE + (titles ? LINE : 0) + (subtitles ? LINE : 0) + GAP;
    double top = MARGIN + (title ? TITLE : 0);
    double width = 2.0 * MARGIN + columns * (double)(IMAGE + GAP) - GAP;
    double height = top + rows * cell_h - GAP + MARGIN;
    /* A title is not cut for a narrow grid: the picture grows instead, within reason. */
    tr_canvas canvas = {0};
    int rc = tr_canvas_open(&canvas, 1, 1, err);
    if (rc) return rc;
    double title_w = fmin(tr_canvas_measure(&canvas, tr_font_title, title), 4 * IMAGE);
    tr_canvas_close(&canvas);
    double inner = fmax(width, title_w + 2 * MARGIN);
    double left = MARGIN + (inner - width) / 2;
    width = inner;

    rc = tr_canvas_open(&canvas, width, height, err);
    if (rc) return rc;
    tr_canvas_text(&canvas, tr_font_title, width / 2, MARGIN + 14, 0.5, width - 2 * MARGIN, title);
    if (n < 1)
        tr_canvas_text(&canvas, subtitle_font, width / 2, top + IMAGE / 2, 0.5, 0, "no images");
    for (int i = 0; i < n; i++) {
        const tr_cell *cell = &cells[i];
        double x = left + i % columns * (double)(IMAGE + GAP);
        double y = top + i / columns * cell_h;
        if ((rc = draw_image(&canvas, cell, x, y, err))) goto fail;
        y += IMAGE;
        if (titles) y += LINE;
        tr_canvas_text(&canvas, title_font, x + IMAGE / 2.0, y - 1, 0.5, IMAGE, cell->title);
        if (cell->subtitle) draw_subtitle(&canvas, cell, x, y + LINE - 2);
    }
    rc = tr_canvas_save(&canvas, path, err);
fail:
    tr_canvas_close(&canvas);
    return rc;
}
