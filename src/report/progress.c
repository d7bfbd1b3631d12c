/* The progress line: one line of a terminal, redrawn in place, or lines in a log.
 *
 * It never takes the last column, so that the cursor stays in the line, and it never leaves more on
 * the screen than it wipes. The terminal's width is read at each redraw; where it became less
 * than what is shown, the terminal has wrapped that, and all its rows are wiped. One thread at a
 * time.
 */
#include "report/report.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_COLUMNS = 200,
    MIN_BAR = 8,
    MAX_BAR = 30,
    LINE_BYTES = 4 * MAX_COLUMNS + 1, /* a letter of UTF-8 has at most four bytes */
};
static const double redraw_seconds = 0.1;
static const double line_seconds = 30; /* between two lines of a log */
static const double eta_seconds = 2;   /* before that, time left is a guess */

/* A line under construction: at most `limit` columns. */
typedef struct line {
    char text[LINE_BYTES];
    size_t bytes;
    int columns, limit;
} line;

static bool is_tail(char c) {
    return ((unsigned char)c & 0xC0) == 0x80;
}

/* Columns of text, taking a letter for one. */
static int count_columns(const char *text) {
    int n = 0;
    for (; *text; text++) n += !is_tail(*text);
    return n;
}

static void put(line *l, const char *text) {
    for (; *text; text++) {
        if (!is_tail(*text)) {
            if (l->columns == l->limit) break;
            l->columns++;
        }
        if (l->bytes + 1 >= sizeof l->text) break;
        unsigned char c = (unsigned char)*text;
        l->text[l->bytes++] = c < 0x20 || c == 0x7F ? ' ' : *text;
    }
    l->text[l->bytes] = '\0';
}

void tr_progress_start(tr_progress *progress, FILE *out) {
    int descriptor = fileno(out);
    const char *term = getenv("TERM");
    bool dumb = term == NULL || *term == '\0' || strcmp(term, "dumb") == 0;
    *progress = (tr_progress){.out = out, .now = tr_now, .width = tr_terminal_width, .start = -1};
    progress->on = !dumb && descriptor >= 0 && tr_is_terminal(descriptor);
}

/* What is shown, away. */
static void wipe(tr_progress *progress, int width) {
    if (progress->shown == 0) return;
    if (progress->shown >= width && width > 0) /* wrapped: up to its first row */
        fprintf(progress->out, "\r\x1b[%dA\x1b[J", (int)tr_max(1, (progress->shown - 1) / width));
    else
        fprintf(progress->out, "\r%*s\r", progress->shown, "");
    progress->shown = 0;
}

/* "label [bar] facts  tail": the bar takes what is left, and goes first where that is little. */
static void draw(tr_progress *progress, const char *label, double share, const char *facts,
                 const char *tail) {
    int width = progress->width(fileno(progress->out));
    line l = {.limit = (int)tr_max(0, tr_min(width - 1, MAX_COLUMNS))};
    int others =
        count_columns(label) + count_columns(facts) + (*tail ? 2 : 0) + count_columns(tail);
    int bar = (int)tr_min(MAX_BAR, l.limit - others - 3);
    put(&l, label);
    if (bar >= MIN_BAR) {
        int full = (int)(share * bar);
        put(&l, *label ? " [" : "[");
        for (int i = 0; i < bar; i++) put(&l, i < full ? "=" : i == full ? ">" : " ");
        put(&l, "]");
    }
    put(&l, facts);
    if (*tail) put(&l, "  ");
    put(&l, tail);
    if (progress->shown >= width) wipe(progress, width);
    fprintf(progress->out, "\r%s%*s", l.text, (int)tr_max(0, progress->shown - l.columns), "");
    progress->shown = l.columns;
}

void tr_progress_update(tr_progress *progress, const char *label, int64_t done, int64_t total,
                        double images_per_second, const char *tail) {
    double now = progress->now(), since = now - progress->last;
    bool first = progress->start < 0;
    if (first) {
        progress->start = now;
        progress->done_at_start = done;
        if (!progress->on) progress->last = now;
    }
    bool due = progress->on ? first || since >= redraw_seconds || done >= total
                            : !first && since >= line_seconds;
    if (!due) return;
    progress->last = now;

    double share = total > 0 ? (double)done / (double)total : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    double elapsed = now - progress->start, left = -1;
    if (done >= total)
        left = 0;
    else if (elapsed >= eta_seconds && done > progress->done_at_start)
        left = elapsed * (double)(total - done) / (double)(done - progress->done_at_start);

    char rate[32], eta[32], facts[128];
    tr_format_seconds(left, eta);
    tr_format_rate(images_per_second, rate);
    snprintf(facts, sizeof facts, " %3d%%  %s images/s  ETA %s", (int)(100 * share), rate, eta);
    if (!label) label = "";
    if (!tail) tail = "";
    if (progress->on)
        draw(progress, label, share, facts, tail);
    else
        fprintf(progress->out, "%s%s%s%s\n", label, facts, *tail ? "  " : "", tail);
    fflush(progress->out);
}

void tr_progress_clear(tr_progress *progress) {
    if (progress->on) {
        wipe(progress, progress->width(fileno(progress->out)));
        fflush(progress->out);
    } else {
        progress->last = progress->now();
    }
}
