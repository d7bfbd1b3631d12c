/* The module `report`: pictures (cairo), the terminal, and manual pages. It displays the numbers
 * and names that it is given; it decides nothing. */
#ifndef TR_REPORT_H
#define TR_REPORT_H

#include <stdio.h>

#include "base/base.h"

/* ---- pictures: PNG files, written atomically ---- */

typedef struct tr_cell {         /* one image of a grid */
    const unsigned char *pixels; /* [c][h][w] bytes, c = 1 or 3 (more: the first three are drawn) */
    int h, w, c;
    const char *title;    /* under the image, or NULL */
    const char *subtitle; /* below the title, or NULL */
    int verdict;          /* -1: none; 0: wrong (red); 1: right (green): colours the subtitle */
} tr_cell;
int tr_draw_grid(const char *path, const char *title, const tr_cell *cells, int n, int columns,
                 tr_error *err);

typedef struct tr_series {
    const char *name;
    int n;
    const double *x, *y;
    bool points; /* draw a mark at each point, too */
} tr_series;
typedef struct tr_panel { /* one pair of axes */
    const char *title, *x_label, *y_label;
    const tr_series *series;
    int n_series;
    double y_min, y_max; /* y_min == y_max: from the data */
} tr_panel;
/* Panels side by side, each with its own axes and legend. Values that are not finite are left out.
 */
int tr_draw_panels(const char *path, const char *title, const tr_panel *panels, int n,
                   tr_error *err);

/* counts[truth * n + predicted]; cells are coloured by share of the truth's row and hold the count.
 */
int tr_draw_confusion(const char *path, const char *title, const char *const *names, int n,
                      const int64_t *counts, tr_error *err);

/* Memory that drawing any of these takes at most, for grids of up to 32 images and confusion
 * matrices of so many classes, bytes. */
int64_t tr_draw_bytes(int n_classes);

/* ---- the terminal (progress.c) ---- */

/* On a terminal a line that is redrawn in place, at most ten times a second; elsewhere, and where
 * TERM is dumb or unset, whole lines, one when nothing else was printed for 30 seconds. */
typedef struct tr_progress {
    FILE *out;
    bool on;                      /* redrawn in place */
    double (*now)(void);          /* tr_now, or the clock of a test */
    int (*width)(int descriptor); /* tr_terminal_width, or that of a test */
    int shown;                    /* columns on the screen */
    double last;                  /* when something was printed */
    double start;                 /* of the first update; negative: there was none */
    int64_t done_at_start;
} tr_progress;
void tr_progress_start(tr_progress *progress, FILE *out);
/* "label [=====>    ] 43%  71,000 images/s  ETA 0:12  loss 1.234". done, total in any unit of work.
 * The time left is shown from two seconds on. */
void tr_progress_update(tr_progress *progress, const char *label, int64_t done, int64_t total,
                        double images_per_second, const char *tail);
/* Wipe the line: other text is about to be printed. */
void tr_progress_clear(tr_progress *progress);

/* Numbers for display. */

/* With so many decimals, 2.2128 -> "2.213", and with an exponent where these say nothing or there
 * are more than six digits before them: 5.571e22 -> "5.57e+22", 4e-7 -> "4.00e-07". out has 32
 * bytes. Returns out. */
char *tr_format_fixed(double value, int decimals, char *out);
/* A speed: 31861.3 -> "31,861", 0.37 -> "0.37", 5.571e22 -> "5.57e+22"; "-" where there is none.
 * out has 32 bytes. Returns out. */
char *tr_format_rate(double value, char *out);
/* 1234567 -> "1,234,567". out has 32 bytes. Returns out. */
char *tr_format_count(int64_t n, char *out);
/* 75 -> "1:15", 3700 -> "1:01:40". out has 32 bytes. Returns out. */
char *tr_format_seconds(double seconds, char *out);

/* ---- manual pages: whoever knows what there is to say calls these; a format writes it ---- */

typedef struct tr_entry { /* an argument, an option, a file */
    const char *name;
    const char *rule;     /* what its value may be, or NULL */
    const char *fallback; /* the default, "" where there is none to show; NULL: must be given */
    const char *help;
} tr_entry;

typedef struct tr_manual tr_manual;
typedef struct tr_manual_format {
    /* The first: what the page is of. `section` is that of the manual. */
    void (*title)(tr_manual *m, const char *name, int section, const char *what);
    /* level 1 to 3; `note` (may be NULL) for those who see this part alone. */
    void (*heading)(tr_manual *m, int level, const char *text, const char *note);
    void (*text)(tr_manual *m, const char *paragraph);
    void (*example)(tr_manual *m, const char *const *lines, int n);
    /* A list of entries: first this, then each. values: they have rules and defaults. */
    void (*list)(tr_manual *m, bool values);
    void (*entry)(tr_manual *m, const tr_entry *e);
    /* Where more is: a label and an address. */
    void (*see)(tr_manual *m, const char *label, const char *address);
} tr_manual_format;
/* For a terminal (manual.c), Markdown (markdown.c), and the manual of Unix (roff.c). */
extern const tr_manual_format tr_manual_plain, tr_manual_markdown, tr_manual_roff;

struct tr_manual {
    const tr_manual_format *format;
    void (*line)(const char *text, void *arg); /* called with each line */
    void *arg;
    bool begun;  /* something was written */
    bool values; /* of the present list */
    bool headed; /* a heading was the last */
};

/* What the formats share (manual.c): a line, and words in lines of at most `width` columns with
 * `indent` blanks in front, the first with `head` in their place where it fits, else below it.
 * NULL: none. */
void tr_manual_line(tr_manual *m, tr_text *text);
void tr_manual_print(tr_manual *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tr_manual_wrap(tr_manual *m, const char *head, const char *text, int indent, int width);

#endif
