/* What the environment says about OpenMP's threads, read as libgomp reads it. A value that libgomp
 * reports as invalid counts as not set here, too. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "threads/topology.h"

static const char *skip_blanks(const char *text) {
    while (isspace((unsigned char)*text)) text++;
    return text;
}

/* A number without a sign, and what follows it and blanks to *end; false where there is none. */
static bool read_number(const char *text, unsigned long long *number, const char **end) {
    char *after;
    text = skip_blanks(text);
    if (!isdigit((unsigned char)*text)) return false;
    errno = 0;
    *number = strtoull(text, &after, 10);
    *end = skip_blanks(after);
    return errno == 0;
}

int tr_parse_thread_counts(const char *text) {
    unsigned long long number, first = 0;
    for (;; text++) {
        if (!read_number(text, &number, &text) || number == 0) return 0;
        if (first == 0) first = number;
        if (*text == '\0') return first > TR_MAX_THREADS ? TR_MAX_THREADS : (int)first;
        if (*text != ',') return 0;
    }
}

size_t tr_parse_stack_size(const char *text) {
    static const char units[] = "bkmg";
    unsigned long long number;
    size_t shift = 10, bytes; /* without a unit: KiB */
    if (!read_number(text, &number, &text)) return 0;
    if (*text != '\0') {
        const char *unit = strchr(units, tolower((unsigned char)*text));
        if (unit == NULL || *skip_blanks(text + 1) != '\0') return 0;
        shift = 10 * (size_t)(unit - units);
    }
    return tr_mul((size_t)number, (size_t)1 << shift, &bytes) ? bytes : 0;
}

int tr_default_threads(void) {
    const char *text = getenv("OMP_NUM_THREADS");
    return text != NULL ? tr_parse_thread_counts(text) : 0;
}

int tr_thread_limit(void) {
    int limit = omp_get_thread_limit();
    return limit > 0 ? limit : INT_MAX;
}

size_t tr_thread_stack(const char **name) {
    static const char *const names[] = {"OMP_STACKSIZE", "GOMP_STACKSIZE"};
    size_t bytes = 0;
    *name = NULL;
    for (int i = 0; i < 2 && bytes == 0; i++) {
        const char *text = getenv(names[i]);
        if (text != NULL) bytes = tr_parse_stack_size(text);
        if (bytes != 0) *name = names[i];
    }
    return bytes;
}

tr_binder tr_real_binder(void) {
    /* OMP_PROC_BIND=false looks the same as not set to OpenMP's functions. */
    if (omp_get_proc_bind() != omp_proc_bind_false) return TR_BINDER_OPENMP;
    return getenv("OMP_PROC_BIND") != NULL ? TR_BINDER_USER : TR_BINDER_SELF;
}
