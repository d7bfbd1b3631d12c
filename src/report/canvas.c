/* The canvas: a cairo image surface, its text and colours, and the way to a PNG file.
 *
 * Text is cleaned before cairo sees it, since cairo stops drawing for good on a byte that is not
 * UTF-8. The PNG is made in memory and handed to tr_save, so that a file is whole or absent. No
 * state outside the canvas.
 */
#include "report/canvas.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_SIDE = 32767,      /* cairo's limit for image surfaces, pixels */
    MAX_PIXELS = 64 << 20, /* of one picture: 256 MiB */
    TEXT_BYTES = 1024,     /* of cleaned text, with its end */
    DRAW_ROOM = 4 << 20,   /* bytes beside the pixels and their file */
    FONT_ROOM = 64 << 20,  /* the system's fonts */
};
const double tr_canvas_scale = 1.5;
static const char ellipsis[] = "\xE2\x80\xA6";

const tr_rgb tr_ink = {0.13, 0.15, 0.18};
const tr_rgb tr_muted = {0.42, 0.45, 0.50};
const tr_rgb tr_rule = {0.87, 0.89, 0.91};
const tr_rgb tr_paper = {1, 1, 1};
const tr_rgb tr_right = {0.00, 0.48, 0.35};
const tr_rgb tr_wrong = {0.78, 0.27, 0.00};
const tr_font tr_font_title = {19, true, {0.13, 0.15, 0.18}};

tr_rgb tr_series_colour(int i) {
    static const tr_rgb colours[TR_PALETTE] = {
        {0.00, 0.45, 0.70}, /* blue */
        {0.84, 0.37, 0.00}, /* vermilion */
        {0.00, 0.62, 0.45}, /* bluish green */
        {0.80, 0.47, 0.65}, /* reddish purple */
        {0.90, 0.62, 0.00}, /* orange */
        {0.34, 0.71, 0.91}, /* sky blue */
        {0.25, 0.25, 0.25}, /* near black */
    };
    return colours[i % TR_PALETTE];
}

/* fontconfig keeps live memory behind offsets instead of pointers, which a leak checker cannot
 * follow: builds with AddressSanitizer exclude it, for every program that draws. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TR_LEAK_CHECKER 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define TR_LEAK_CHECKER 1
#endif
#ifdef TR_LEAK_CHECKER
TR_API const char *__lsan_default_suppressions(void);
TR_API const char *__lsan_default_options(void);
const char *__lsan_default_options(void) {
    return "print_suppressions=0";
}
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\n";
}
#endif

/* cairo and fontconfig may crash where memory ends in their middle, so nothing is begun that may
 * not have room. What the system's fonts need is unknown; cairo's built-in font is part of it,
 * but has only ASCII. */
static int check_room(tr_canvas *canvas, double w, double h, tr_error *err) {
    int64_t needed = (int64_t)(8 * w * h) + DRAW_ROOM; /* the pixels, and the file at its worst */
    int64_t room = tr_memory_limit(NULL) - tr_resident_memory();
    char a[32], b[32];
    canvas->family = room - needed < FONT_ROOM ? "@cairo:" : "sans-serif";
    if (needed <= room) return TR_OK;
    return tr_fail(err, TR_ENOMEM, "a picture of %.0f x %.0f pixels needs %s of memory, %s is free",
                   w, h, tr_format_bytes(needed, a), tr_format_bytes(tr_max(0, room), b));
}

int tr_canvas_open(tr_canvas *canvas, double width, double height, tr_error *err) {
    *canvas = (tr_canvas){.width = width, .height = height};
    double scale = tr_canvas_scale;
    scale = fmin(scale, sqrt(MAX_PIXELS / (width * height)));
    scale = fmin(scale, MAX_SIDE / fmax(width, height));
    double w = floor(width * scale), h = floor(height * scale);
    if (!(scale > 0 && w >= 1 && h >= 1))
        return tr_fail(err, TR_EIO, "a picture of %.0f x %.0f units cannot be drawn", width,
                       height);
    int code = check_room(canvas, w, h, err);
    if (code) return code;
    canvas->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)w, (int)h);
    canvas->cr = cairo_create(canvas->surface);
    cairo_status_t status = cairo_status(canvas->cr);
    if (status != CAIRO_STATUS_SUCCESS) {
        tr_canvas_close(canvas);
        return tr_fail(err, TR_ENOMEM, "a picture of %.0f x %.0f pixels: %s", w, h,
                       cairo_status_to_string(status));
    }
    cairo_scale(canvas->cr, scale, scale);
    cairo_font_options_t *options = cairo_font_options_create();
    cairo_font_options_set_antialias(options, CAIRO_ANTIALIAS_GRAY);
    cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
    cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
    cairo_set_font_options(canvas->cr, options);
    cairo_font_options_destroy(options);
    tr_canvas_colour(canvas, tr_paper);
    cairo_paint(canvas->cr);
    return TR_OK;
}

void tr_canvas_close(tr_canvas *canvas) {
    if (canvas->cr) cairo_destroy(canvas->cr);
    if (canvas->surface) cairo_surface_destroy(canvas->surface);
    *canvas = (tr_canvas){0};
}

/* ---- PNG ---- */

typedef struct buffer {
    unsigned char *data;
    size_t bytes, capacity;
} buffer;

static cairo_status_t collect(void *closure, const unsigned char *data, unsigned length) {
    buffer *b = closure;
    size_t bytes;
    if (!tr_add(b->bytes, length, &bytes)) return CAIRO_STATUS_NO_MEMORY;
    if (bytes > b->capacity) {
        size_t capacity;
        if (!tr_mul(bytes, 2, &capacity)) return CAIRO_STATUS_NO_MEMORY;
        unsigned char *grown = realloc(b->data, capacity);
        if (!grown) return CAIRO_STATUS_NO_MEMORY;
        b->data = grown;
        b->capacity = capacity;
    }
    memcpy(b->data + b->bytes, data, length);
    b->bytes = bytes;
    return CAIRO_STATUS_SUCCESS;
}

int tr_canvas_save(tr_canvas *canvas, const char *path, tr_error *err) {
    buffer png = {0};
    int rc;
    cairo_surface_flush(canvas->surface);
    cairo_status_t status = cairo_status(canvas->cr);
    if (status == CAIRO_STATUS_SUCCESS)
        status = cairo_surface_write_to_png_stream(canvas->surface, collect, &png);
    if (status == CAIRO_STATUS_SUCCESS)
        rc = tr_save(path, png.data, png.bytes, err);
    else
        rc =
            tr_fail(err, status == CAIRO_STATUS_NO_MEMORY ? TR_ENOMEM : TR_EIO,
                    "%s: the picture could not be drawn: %s", path, cairo_status_to_string(status));
    free(png.data);
    return rc;
}

/* ---- shapes ---- */

void tr_canvas_colour(tr_canvas *canvas, tr_rgb colour) {
    cairo_set_source_rgb(canvas->cr, colour.r, colour.g, colour.b);
}

void tr_canvas_box(tr_canvas *canvas, double x, double y, double w, double h, tr_rgb colour) {
    tr_canvas_colour(canvas, colour);
    cairo_rectangle(canvas->cr, x, y, w, h);
    cairo_fill(canvas->cr);
}

void tr_canvas_frame(tr_canvas *canvas, double x, double y, double w, double h, tr_rgb colour) {
    tr_canvas_colour(canvas, colour);
    cairo_set_line_width(canvas->cr, 1);
    cairo_rectangle(canvas->cr, x, y, w, h);
    cairo_stroke(canvas->cr);
}

void tr_canvas_line(tr_canvas *canvas, double x0, double y0, double x1, double y1, double width,
                    tr_rgb colour) {
    tr_canvas_colour(canvas, colour);
    cairo_set_line_width(canvas->cr, width);
    cairo_move_to(canvas->cr, x0, y0);
    cairo_line_to(canvas->cr, x1, y1);
    cairo_stroke(canvas->cr);
}

/* ---- text ---- */

/* Bytes of the UTF-8 sequence at p, 0 where there is none (Unicode 15, table 3-7). */
static int sequence_length(const unsigned char *p) {
    unsigned char low = 0x80, high = 0xBF;
    int n;
    if (p[0] < 0x80) return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        n = 2;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        n = 3;
        if (p[0] == 0xE0) low = 0xA0;
        if (p[0] == 0xED) high = 0x9F;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        n = 4;
        if (p[0] == 0xF0) low = 0x90;
        if (p[0] == 0xF4) high = 0x8F;
    } else {
        return 0;
    }
    if (p[1] < low || p[1] > high) return 0;
    for (int i = 2; i < n; i++)
        if (p[i] < 0x80 || p[i] > 0xBF) return 0;
    return n;
}

/* Copy text as valid UTF-8 without control characters: whole letters, as many as fit with room left
 * for an ellipsis. */
static size_t clean(const char *text, char out[TEXT_BYTES]) {
    const unsigned char *p = (const unsigned char *)text;
    size_t used = 0;
    while (*p) {
        int n = sequence_length(p);
        if (used + (size_t)(n > 0 ? n : 1) + sizeof ellipsis > TEXT_BYTES) break;
        if (n == 0) {
            out[used++] = '?';
            p++;
        } else if (*p < 0x20 || *p == 0x7F) {
            out[used++] = ' ';
            p++;
        } else {
            memcpy(out + used, p, (size_t)n);
            used += (size_t)n;
            p += n;
        }
    }
    out[used] = '\0';
    return used;
}

static void set_font(tr_canvas *canvas, tr_font font) {
    cairo_select_font_face(canvas->cr, canvas->family, CAIRO_FONT_SLANT_NORMAL,
                           font.bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(canvas->cr, font.size);
}

static double advance(tr_canvas *canvas, const char *clean_text) {
    cairo_text_extents_t extents;
    cairo_text_extents(canvas->cr, clean_text, &extents);
    return extents.x_advance;
}

/* Cut `text` (of `bytes` bytes, too wide) to the most letters that fit with an ellipsis; the width.
 */
static double shorten(tr_canvas *canvas, char text[TEXT_BYTES], size_t bytes, double max_width) {
    char candidate[TEXT_BYTES];
    uint16_t start[TEXT_BYTES]; /* of each letter */
    int letters = 0;
    for (size_t i = 0; i < bytes; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80) start[letters++] = (uint16_t)i;
    int fits = 0, too_many = letters;
    while (too_many - fits > 1) {
        int middle = (fits + too_many) / 2;
        memcpy(candidate, text, start[middle]);
        memcpy(candidate + start[middle], ellipsis, sizeof ellipsis);
        if (advance(canvas, candidate) <= max_width)
            fits = middle;
        else
            too_many = middle;
    }
    size_t end = start[fits];
    while (end > 0 && text[end - 1] == ' ') end--;
    memcpy(text + end, ellipsis, sizeof ellipsis);
    return advance(canvas, text);
}

void tr_canvas_text(tr_canvas *canvas, tr_font font, double x, double y, double align,
                    double max_width, const char *text) {
    char line[TEXT_BYTES];
    if (!text) return;
    size_t bytes = clean(text, line);
    if (bytes == 0) return;
    set_font(canvas, font);
    double width = advance(canvas, line);
    if (max_width > 0 && width > max_width) width = shorten(canvas, line, bytes, max_width);
    tr_canvas_colour(canvas, font.colour);
    cairo_move_to(canvas->cr, x - align * width, y);
    cairo_show_text(canvas->cr, line);
    cairo_new_path(canvas->cr);
}

void tr_canvas_text_up(tr_canvas *canvas, tr_font font, double x, double y, double align,
                       double max_width, const char *text) {
    cairo_save(canvas->cr);
    cairo_translate(canvas->cr, x, y);
    cairo_rotate(canvas->cr, -acos(0));
    tr_canvas_text(canvas, font, 0, 0, align, max_width, text);
    cairo_restore(canvas->cr);
}

double tr_canvas_measure(tr_canvas *canvas, tr_font font, const char *text) {
    char line[TEXT_BYTES];
    if (!text || clean(text, line) == 0) return 0;
    set_font(canvas, font);
    return advance(canvas, line);
}
