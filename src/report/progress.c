/* The progress line: one line of a terminal, redrawn in place.
 *
 * It never takes the last column, so that the cursor stays in the line, and it never leaves more on
 * the screen than it wipes. `shown` is the number of columns on the screen. One thread at a time.
 */
#include "report/report.h"

#include <string.h>

enum {
    MAX_COLUMNS = 200,
    MIN_BAR = 8,
    MAX_BAR = 30,
    LINE_BYTES = 4 * MAX_COLUMNS + 1, /* a letter of UTF-8 has at most four bytes */
};
static const double redraw_seconds = 0.1;

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
    *progress = (tr_progress){.out = out, .width = 80, .start = tr_now()};
    progress->on = descriptor >= 0 && tr_is_terminal(descriptor);
    if (progress->on) progress->width = tr_terminal_width(descriptor);
    progress->last = progress->start - 2 * redraw_seconds;
}

void tr_progress_update(tr_progress *progress, const char *label, int64_t done, int64_t total,
                        double images_per_second, const char *tail) {
    if (!progress->on) return;
    double now = tr_now();
    if (now - progress->last < redraw_seconds && done < total) return;
    progress->last = now;

    double share = total > 0 ? (double)done / (double)total : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    double left = share > 0 ? (now - progress->start) * (1 - share) / share : -1;

    char rate[32], eta[32], facts[128];
    tr_format_seconds(left, eta);
    /* The comparison is false for NaN, too. */
    if (images_per_second >= 0 && images_per_second < 1e15)
        tr_format_count((int64_t)(images_per_second + 0.5), rate);
    else
        snprintf(rate, sizeof rate, "-");
    snprintf(facts, sizeof facts, " %3d%%  %s images/s  ETA %s", (int)(100 * share), rate, eta);
    if (!label) label = "";
    if (!tail) tail = "";

    line l = {.limit = (int)tr_max(0, tr_min(progress->width - 1, MAX_COLUMNS))};
    /* "label [bar] facts  tail": the bar takes what is left, and goes first where that is little.
     */
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

    fprintf(progress->out, "\r%s%*s", l.text, (int)tr_max(0, progress->shown - l.columns), "");
    fflush(progress->out);
    progress->shown = l.columns;
}

void tr_progress_clear(tr_progress *progress) {
    if (!progress->on || progress->shown == 0) return;
    fprintf(progress->out, "\r%*s\r", progress->shown, "");
    fflush(progress->out);
    progress->shown = 0;
}
