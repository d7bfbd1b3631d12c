/* The reader of the reference values in tests/reference: one pass over the text, cut in place.
 *
 * The file's text stays in memory and the names point into it. Lists grow by one with realloc: the
 * files are small. Nothing here is shared between threads.
 */
#include "reference.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const char *path;
    int line;
    char *next; /* the rest of the text */
} reader;

typedef struct case_state { /* a tr_reference_case with its lists writable */
    tr_reference_case c;
    const char **layers;
    tr_reference_tensor *tensors;
} case_state;

typedef struct reference_state {
    tr_reference reference; /* first: what the caller holds */
    char *text;
    tr_reference_case *cases;
} reference_state;

static void die(const reader *r, const char *format, ...) __attribute__((noreturn))
__attribute__((format(printf, 2, 3)));

static void die(const reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", r->path, r->line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

/* One more element at the end of a list. */
static void *grow(const reader *r, void *list, int n, size_t size) {
    void *grown = realloc(list, ((size_t)n + 1) * size);
    if (!grown) die(r, "out of memory");
    return grown;
}

static char *read_text(reader *r) {
    FILE *file = fopen(r->path, "rb");
    if (!file) die(r, "cannot be opened: %s (is TR_TEST_ROOT the folder tests?)", strerror(errno));
    if (fseek(file, 0, SEEK_END)) die(r, "cannot be read");
    long bytes = ftell(file);
    if (bytes < 0 || fseek(file, 0, SEEK_SET)) die(r, "cannot be read");
    char *text = malloc((size_t)bytes + 1);
    if (!text) die(r, "out of memory");
    if (fread(text, 1, (size_t)bytes, file) != (size_t)bytes) die(r, "cannot be read");
    text[bytes] = '\0';
    fclose(file);
    return text;
}

/* The next line that is neither empty nor a comment, ended at its newline; NULL at the end. */
static char *next_line(reader *r) {
    while (*r->next) {
        char *line = r->next, *end = strchr(line, '\n');
        if (!end) die(r, "the last line does not end");
        *end = '\0';
        r->next = end + 1;
        r->line++;
        if (*line && *line != '#') return line;
    }
    return NULL;
}

/* What follows `word` and a space at the start of the line, or NULL. */
static char *after(char *line, const char *word) {
    size_t n = strlen(word);
    return strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

/* "NAME DIM..." and, on the lines below, as many values as the dimensions require. */
static tr_reference_tensor read_tensor(reader *r, char *head) {
    tr_reference_tensor t = {.name = head, .n = 1};
    char *end = strchr(head, ' ');
    if (!end) die(r, "tensor %s has no dimensions", head);
    *end++ = '\0';
    while (*end) {
        char *start = end;
        long long dim = strtoll(start, &end, 10);
        if (end == start || dim < 1 || dim > 1000000) die(r, "bad dimension '%s'", start);
        if (t.n_dims == TR_REFERENCE_DIMS) die(r, "more than %d dimensions", TR_REFERENCE_DIMS);
        t.dim[t.n_dims++] = dim;
        t.n *= (size_t)dim;
        if (t.n > 1000000) die(r, "tensor %s is too large", t.name);
    }
    double *v = calloc(t.n, sizeof *v);
    if (!v) die(r, "out of memory");
    for (size_t i = 0; i < t.n;) {
        char *at = next_line(r);
        if (!at) die(r, "tensor %s ends after %zu of %zu values", t.name, i, t.n);
        for (at += strspn(at, " "); *at; at += strspn(at, " ")) {
            char *stop;
            if (i == t.n) die(r, "tensor %s has more than %zu values", t.name, t.n);
            v[i++] = strtod(at, &stop);
            if (stop == at || (*stop && *stop != ' ')) die(r, "'%s' is not a number", at);
            at = stop;
        }
    }
    t.v = v;
    return t;
}

static tr_reference_case read_case(reader *r, const char *name) {
    case_state s = {.c.name = name};
    for (;;) {
        char *line = next_line(r), *rest;
        if (!line) die(r, "case %s does not end", name);
        if (!strcmp(line, "end")) break;
        if ((rest = after(line, "layer"))) {
            s.layers = grow(r, s.layers, s.c.n_layers, sizeof *s.layers);
            s.layers[s.c.n_layers++] = rest;
        } else if ((rest = after(line, "mode"))) {
            s.c.eval = strcmp(rest, "eval") == 0;
            if (!s.c.eval && strcmp(rest, "train") != 0) die(r, "'%s' is no mode", rest);
        } else if (after(line, "sgd")) {
            if (s.c.optimizer) die(r, "case %s has two optimizers", name);
            s.c.optimizer = line;
        } else if ((rest = after(line, "tensor"))) {
            tr_reference_tensor t = read_tensor(r, rest);
            s.c.tensors = s.tensors;
            if (tr_reference_find(&s.c, t.name)) die(r, "tensor %s stands here twice", t.name);
            s.tensors = grow(r, s.tensors, s.c.n_tensors, sizeof *s.tensors);
            s.tensors[s.c.n_tensors++] = t;
        } else {
            die(r, "'%s' is none of layer, mode, sgd, tensor, end", line);
        }
    }
    s.c.layers = s.layers;
    s.c.tensors = s.tensors;
    return s.c;
}

tr_reference *tr_reference_read(const char *path) {
    const char *root = getenv("TR_TEST_ROOT");
#ifdef TR_TEST_ROOT
    if (!root) root = TR_TEST_ROOT;
#endif
    char full[4096];
    reader r = {.path = full};
    int length = snprintf(full, sizeof full, "%s/%s", root ? root : ".", path);
    if (length < 0 || (size_t)length >= sizeof full) die(&r, "the path is too long");
    reference_state *s = calloc(1, sizeof *s);
    if (!s) die(&r, "out of memory");
    r.next = s->text = read_text(&r);
    for (char *line; (line = next_line(&r));) {
        char *name = after(line, "case");
        if (!name) die(&r, "'%s' stands outside a case", line);
        tr_reference_case c = read_case(&r, name);
        s->cases = grow(&r, s->cases, s->reference.n_cases, sizeof *s->cases);
        s->cases[s->reference.n_cases++] = c;
    }
    if (!s->cases) die(&r, "there is no case");
    s->reference.cases = s->cases;
    return &s->reference;
}

void tr_reference_free(tr_reference *reference) {
    if (!reference) return;
    reference_state *s = (reference_state *)reference;
    for (int i = 0; i < reference->n_cases; i++) {
        const tr_reference_case *c = &s->cases[i];
        for (int k = 0; k < c->n_tensors; k++) free((void *)c->tensors[k].v);
        free((void *)c->tensors);
        free((void *)c->layers);
    }
    free(s->cases);
    free(s->text);
    free(s);
}

const tr_reference_tensor *tr_reference_find(const tr_reference_case *c, const char *name) {
    for (int i = 0; i < c->n_tensors; i++)
        if (!strcmp(c->tensors[i].name, name)) return &c->tensors[i];
    return NULL;
}

const tr_reference_tensor *tr_reference_get(const tr_reference_case *c, const char *name) {
    const tr_reference_tensor *t = tr_reference_find(c, name);
    if (!t) {
        fprintf(stderr, "case %s has no tensor %s\n", c->name, name);
        abort();
    }
    return t;
}
