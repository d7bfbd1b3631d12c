/* Which tables this build has, which of them this CPU runs, and which one is requested. */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

#ifdef TR_REAL_DOUBLE
#define TR_ISAS(X) /* vectors are of float: the gradient checks run on the reference */
#else
#include "isas.h" /* made by Meson: TR_ISAS(X) names the ISAs of this build, the best last */
#endif

#define X(isa)                                                                                     \
    void tr_kernels_fill_##isa(tr_kernels *table);                                                 \
    void tr_kernels_fill_conv_##isa(tr_kernels *table);                                            \
    void tr_kernels_fill_gather_##isa(tr_kernels *table);                                          \
    void tr_kernels_fill_groups_##isa(tr_kernels *table);                                          \
    void tr_kernels_fill_linear_##isa(tr_kernels *table);                                          \
    void tr_kernels_fill_norm_##isa(tr_kernels *table);                                            \
    void tr_kernels_fill_run_##isa(tr_kernels *table);                                             \
    void tr_kernels_fill_words_##isa(tr_kernels *table);                                           \
    void tr_kernels_fill_peak_##isa(tr_kernels *table);
X(scalar)
TR_ISAS(X)
#undef X

static bool always(void) {
    return true;
}

#ifdef TR_REAL_DOUBLE
#elif defined(__x86_64__) || defined(__i386__)
static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}
#elif defined(__aarch64__)
static bool has_neon(void) {
    return true;
}
#endif

static const char *const names[] = {"scalar",
#define X(isa) #isa,
                                    TR_ISAS(X)
#undef X
};
static bool (*const runs[])(void) = {always,
#define X(isa) has_##isa,
                                     TR_ISAS(X)
#undef X
};

enum { N_ISAS = sizeof names / sizeof *names };
static tr_kernels tables[N_ISAS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Only what this CPU runs: the functions that fill a table are compiled for its ISA, too. */
static void fill(void) {
    tr_kernels_fill_scalar(&tables[0]);
#define X(isa)                                                                                     \
    if (has_##isa()) {                                                                             \
        tr_kernels_fill_##isa(table);                                                              \
        tr_kernels_fill_conv_##isa(table);                                                         \
        tr_kernels_fill_gather_##isa(table);                                                       \
        tr_kernels_fill_groups_##isa(table);                                                       \
        tr_kernels_fill_linear_##isa(table);                                                       \
        tr_kernels_fill_norm_##isa(table);                                                         \
        tr_kernels_fill_run_##isa(table);                                                          \
        tr_kernels_fill_words_##isa(table);                                                        \
        tr_kernels_fill_peak_##isa(table);                                                         \
    }                                                                                              \
    table++;
    tr_kernels *table = &tables[1];
    TR_ISAS(X)
#undef X
    (void)table;
}

int tr_n_isas(void) {
    return N_ISAS;
}

const char *tr_isa_name(int i) {
    return names[i];
}

int tr_kernels_get(const char *isa, const tr_kernels **out, tr_error *err) {
    const char *place = "", *forced = getenv("TRAINER_ISA");
    if (strcmp(isa, "auto") == 0 && forced != NULL && forced[0] != '\0') {
        isa = forced;
        place = "TRAINER_ISA: ";
    }
    pthread_once(&once, fill);
    int best = 0, found = -1;
    for (int i = 0; i < N_ISAS; i++) {
        if (runs[i]()) best = i;
        if (strcmp(isa, names[i]) == 0) found = i;
    }
    if (strcmp(isa, "auto") == 0) found = best;
    if (found < 0) {
        const char *near = tr_nearest(isa, names, N_ISAS);
        return tr_fail(err, TR_ECONFIG, "%sno instruction set '%s' in this build%s%s%s", place, isa,
                       near ? " (did you mean '" : "", near ? near : "", near ? "'?)" : "");
    }
    if (!runs[found]())
        return tr_fail(err, TR_ECONFIG, "%sthis CPU has no %s, the best it has is %s", place,
                       names[found], names[best]);
    *out = &tables[found];
    return TR_OK;
}
