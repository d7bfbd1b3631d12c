/* The confusion matrix: truth on the rows, prediction on the columns, recall at the right.
 *
 * A cell is shaded by its share of the truth's row: blue on the diagonal (right), orange off it
 * (wrong), so that what is mistaken for what stands out. No state; one picture per call.
 */
#include "report/canvas.h"

#include <inttypes.h>
#include <math.h>

enum {
    MARGIN = 30,
    TITLE = 34,    /* height of the title */
    SUBTITLE = 26, /* height of the line under it */
    AXIS = 30,     /* room for "truth" and "predicted" */
    RECALL = 78,   /* width of the column at the right */
    ALL = 640,     /* a side of the matrix, unless cells hit a limit */
    CELL_MAX = 84,
    CELL_MIN = 3,
    SIDE_MAX = 3072,   /* of the matrix: cells of thousands of classes are smaller than CELL_MIN */
    NUMBERS_FROM = 22, /* side of the smallest cell that holds a number */
    NAMES_FROM = 10,   /* and of the smallest that gets a name */
    NAME_MAX = 130,
};

static const tr_font note_font = {13, false, {0.42, 0.45, 0.50}};
static const tr_font axis_font = {14, true, {0.13, 0.15, 0.18}};

typedef struct matrix {
    const char *const *names;
    const int64_t *counts;
    int n;
    double cell, left, top; /* side of a cell, corner of the matrix */
    double name_w;          /* room for names at the left */
    bool upright;           /* names of columns are rotated */
    tr_font name_font;
} matrix;

static double count_at(const matrix *m, int truth, int predicted) {
    int64_t count = m->counts[(int64_t)truth * m->n + predicted];
    return count > 0 ? (double)count : 0;
}

static double row_total(const matrix *m, int truth) {
    double total = 0;
    for (int j = 0; j < m->n; j++) total += count_at(m, truth, j);
    return total;
}

/* From paper (share 0) to full colour. Errors have it from half of a row on, since they are spread
 * over many cells. */
static tr_rgb shade(double share, bool right) {
    static const tr_rgb blue = {0.03, 0.32, 0.58}, orange = {0.80, 0.33, 0.02};
    tr_rgb full = right ? blue : orange;
    double t = right ? share : fmin(1, 2 * share);
    return (tr_rgb){1 + (full.r - 1) * t, 1 + (full.g - 1) * t, 1 + (full.b - 1) * t};
}

static void draw_cell(tr_canvas *canvas, const matrix *m, int i, int j, double total) {
    double count = count_at(m, i, j);
    double share = total > 0 ? count / total : 0;
    double x = m->left + j * m->cell, y = m->top + i * m->cell;
    tr_rgb colour = shade(share, i == j);
    if (count > 0) tr_canvas_box(canvas, x, y, m->cell, m->cell, colour);
    if (m->cell < NUMBERS_FROM) return;

    char text[32];
    tr_format_count((int64_t)fmin(count, 9e18), text);
    /* Relative luminance (ITU-R BT.709) decides between dark and light figures. */
    double light = 0.2126 * colour.r + 0.7152 * colour.g + 0.0722 * colour.b;
    tr_rgb pale = {0.72, 0.74, 0.77};
    tr_font font = {fmin(15, 0.36 * m->cell), i == j,
                    count == 0     ? pale
                    : light < 0.55 ? tr_paper
                                   : tr_ink};
    double width = tr_canvas_measure(canvas, font, text), room = m->cell - 6;
    if (width > room) font.size *= room / width;
    tr_canvas_text(canvas, font, x + m->cell / 2, y + m->cell / 2 + 0.36 * font.size, 0.5, 0, text);
}

static void draw_names(tr_canvas *canvas, const matrix *m) {
    if (m->cell < NAMES_FROM) return;
    for (int i = 0; i < m->n; i++) {
        double middle = (i + 0.5) * m->cell, drop = 0.36 * m->name_font.size;
        tr_canvas_text(canvas, m->name_font, m->left - 9, m->top + middle + drop, 1, m->name_w,
                       m->names[i]);
        if (m->upright)
            tr_canvas_text_up(canvas, m->name_font, m->left + middle + drop, m->top - 9, 0,
                              m->name_w, m->names[i]);
        else
            tr_canvas_text(canvas, m->name_font, m->left + middle, m->top - 10, 0.5, m->cell - 4,
                           m->names[i]);
    }
}

static void draw_recall(tr_canvas *canvas, const matrix *m, double side) {
    if (m->cell < NAMES_FROM) return;
    double x = m->left + side + RECALL - 10;
    tr_font head = m->name_font, font = m->name_font;
    head.colour = tr_muted;
    head.size = fmax(head.size, 11);
    font.bold = true;
    tr_canvas_text(canvas, head, x, m->top - 10, 1, RECALL, "recall");
    for (int i = 0; i < m->n; i++) {
        double total = row_total(m, i);
        char text[32] = "-";
        if (total > 0) snprintf(text, sizeof text, "%.1f%%", 100 * count_at(m, i, i) / total);
        tr_canvas_text(canvas, font, x, m->top + (i + 0.5) * m->cell + 0.36 * font.size, 1, 0,
                       text);
    }
}

/* "5,512 of 10,000 right (55.1%)" */
static void draw_note(tr_canvas *canvas, const matrix *m, double x, double y, double max_width) {
    double right = 0, all = 0;
    for (int i = 0; i < m->n; i++) {
        right += count_at(m, i, i);
        all += row_total(m, i);
    }
    char a[32], b[32], text[128];
    tr_format_count((int64_t)fmin(right, 9e18), a);
    tr_format_count((int64_t)fmin(all, 9e18), b);
    if (all > 0)
        snprintf(text, sizeof text, "%s of %s right (%.1f%%)", a, b, 100 * right / all);
    else
        snprintf(text, sizeof text, "no data");
    tr_canvas_text(canvas, note_font, x, y, 0.5, max_width, text);
}

/* Of the matrix, unless few cells make it larger or smaller. */
static double side_of(int n) {
    return fmax(ALL, fmin(SIDE_MAX, (double)CELL_MIN * n));
}

/* Sizes that follow from the number of classes and the longest name. */
static int lay_out(matrix *m, bool title, tr_error *err) {
    tr_canvas canvas = {0};
    int rc = tr_canvas_open(&canvas, 1, 1, err); /* to measure with */
    if (rc) return rc;
    m->cell = fmin(CELL_MAX, side_of(m->n) / (double)tr_max(m->n, 1));
    /* Between the two, cells stay large enough for a number as long as the picture stays handy. */
    if (m->n <= 50) m->cell = fmax(m->cell, NUMBERS_FROM);
    m->name_font = (tr_font){fmin(13, 0.8 * m->cell), false, tr_ink};
    double widest = 0;
    for (int i = 0; i < m->n; i++)
        widest = fmax(widest, tr_canvas_measure(&canvas, m->name_font, m->names[i]));
    tr_canvas_close(&canvas);
    if (m->n <= 12 && widest + 10 > m->cell) m->cell = fmin(CELL_MAX, widest + 10);
    m->upright = widest + 4 > m->cell;
    m->name_w = m->cell < NAMES_FROM ? 0 : fmin(widest, NAME_MAX);
    m->left = MARGIN + AXIS + m->name_w + 9;
    m->top = MARGIN + (title ? TITLE : 0) + SUBTITLE + AXIS + (m->upright ? m->name_w : 16) + 9;
    return TR_OK;
}

int64_t tr_draw_bytes(int n_classes) {
    /* Fonts, glyphs, a grid of images: as measured. */
    const int64_t others = 12 << 20;
    /* Four bytes a pixel, and less for the file. */
    double side =
        tr_canvas_scale * (side_of(n_classes) + MARGIN + AXIS + NAME_MAX + RECALL + MARGIN);
    return tr_max(others, (int64_t)(4 * side * side));
}

int tr_draw_confusion(const char *path, const char *title, const char *const *names, int n,
                      const int64_t *counts, tr_error *err) {
    matrix m = {.names = names, .counts = counts, .n = n};
    int rc = lay_out(&m, title != NULL, err);
    if (rc) return rc;
    double side = m.cell * n;
    double needed = m.left + side + RECALL + MARGIN;
    double width = fmax(needed, 420); /* few classes: room for the title */
    double shift = (width - needed) / 2;
    m.left += shift;
    double height = m.top + side + MARGIN;
    tr_canvas canvas;
    rc = tr_canvas_open(&canvas, width, height, err);
    if (rc) return rc;

    double centre = width / 2, y = MARGIN + 14;
    tr_canvas_text(&canvas, tr_font_title, centre, y, 0.5, width - 2 * MARGIN, title);
    if (title) y += TITLE - 8;
    draw_note(&canvas, &m, centre, y, width - 2 * MARGIN);
    tr_canvas_text(&canvas, axis_font, m.left + side / 2, y + SUBTITLE + 10, 0.5, 0, "predicted");
    tr_canvas_text_up(&canvas, axis_font, MARGIN + 12 + shift, m.top + side / 2, 0.5, 0, "truth");

    for (int i = 0; i < n; i++) {
        double total = row_total(&m, i);
        for (int j = 0; j < n; j++) draw_cell(&canvas, &m, i, j, total);
    }
    /* Lines between cells that are large enough not to drown in them. */
    for (int i = 1; i < n && m.cell >= NAMES_FROM; i++) {
        double at = i * m.cell;
        tr_canvas_line(&canvas, m.left, m.top + at, m.left + side, m.top + at, 1, tr_rule);
        tr_canvas_line(&canvas, m.left + at, m.top, m.left + at, m.top + side, 1, tr_rule);
    }
    tr_canvas_frame(&canvas, m.left, m.top, side, side, tr_muted);
    draw_names(&canvas, &m);
    draw_recall(&canvas, &m, side);
    rc = tr_canvas_save(&canvas, path, err);
    tr_canvas_close(&canvas);
    return rc;
}
