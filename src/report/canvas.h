/* A drawing surface for the pictures of this module: sizes in units, text, colours, PNG.
 *
 * One unit is two pixels of the file, so that text stays crisp when a picture is enlarged. A canvas
 * belongs to one thread. cairo keeps the first failure of a drawing; tr_canvas_save reports it, so
 * that drawing code needs no checks.
 */
#ifndef TR_CANVAS_H
#define TR_CANVAS_H

#include <cairo.h>

#include "report/report.h"

typedef struct tr_rgb {
    double r, g, b;
} tr_rgb;

/* The colours of every picture, distinct for colour-blind readers. */
extern const double tr_canvas_scale; /* pixels of a unit, unless the picture is huge */
extern const tr_rgb tr_ink;          /* text */
extern const tr_rgb tr_muted;        /* text of less weight */
extern const tr_rgb tr_rule;         /* grid lines and frames */
extern const tr_rgb tr_paper;        /* the background */
extern const tr_rgb tr_right;        /* a right prediction */
extern const tr_rgb tr_wrong;        /* a wrong one */
/* The colour of series i; a palette of TR_PALETTE (Okabe and Ito 2008) that then repeats. */
enum { TR_PALETTE = 7 };
tr_rgb tr_series_colour(int i);

typedef struct tr_font {
    double size; /* units */
    bool bold;
    tr_rgb colour;
} tr_font;
extern const tr_font tr_font_title; /* of a picture */

typedef struct tr_canvas {
    cairo_surface_t *surface;
    cairo_t *cr;          /* scaled to units */
    const char *family;   /* of all its text */
    double width, height; /* units */
} tr_canvas;

/* A blank canvas. A very large one gets fewer pixels a unit; one past cairo's limits fails. */
int tr_canvas_open(tr_canvas *canvas, double width, double height, tr_error *err);
/* Write the PNG, atomically. Fails when anything failed to draw. */
int tr_canvas_save(tr_canvas *canvas, const char *path, tr_error *err);
/* A zeroed canvas is fine. */
void tr_canvas_close(tr_canvas *canvas);

void tr_canvas_colour(tr_canvas *canvas, tr_rgb colour);
void tr_canvas_box(tr_canvas *canvas, double x, double y, double w, double h, tr_rgb colour);
void tr_canvas_frame(tr_canvas *canvas, double x, double y, double w, double h, tr_rgb colour);
void tr_canvas_line(tr_canvas *canvas, double x0, double y0, double x1, double y1, double width,
                    tr_rgb colour);

/* One line of text; NULL is no text. Bytes that are not UTF-8 are drawn as '?'. `align` is the
 * share of the text left of x (0, 0.5, 1); y is the base line. Text wider than max_width is cut and
 * ends in an ellipsis; max_width <= 0: as wide as it is (up to a few hundred letters). */
void tr_canvas_text(tr_canvas *canvas, tr_font font, double x, double y, double align,
                    double max_width, const char *text);
/* The same around (x, y), rotated by a quarter to the left: it reads from the bottom to the top. */
void tr_canvas_text_up(tr_canvas *canvas, tr_font font, double x, double y, double align,
                       double max_width, const char *text);
double tr_canvas_measure(tr_canvas *canvas, tr_font font, const char *text);

#endif
