/* The register tile of weight gradients: up to seven input elements times one vector of output
 * channels, summed over the pixels (or samples) of a two-deep loop. Private to this module. */
#ifndef TR_OUTER_H
#define TR_OUTER_H

#include "kernels/vec.h"

typedef struct outer {
    const float *x, *dy;   /* first element and vector */
    int n_out, n_in;       /* rows and pixels in a row */
    int64_t x_out, x_in;   /* steps of x for either */
    int64_t dy_out, dy_in; /* steps of dy */
    float *dw;             /* vector of the first input element */
    int64_t ws;            /* to the vector of the next */
    int valid;             /* lanes that are channels; the others are stored as zero */
    bool add;              /* start from what dw holds, not from zero */
} outer;

typedef void (*outer_function)(const outer *t);

#define V(f)            v8_##f
#define VTYPE           v8
#define VTILE           outer8
#define VSTORE(p, a, n) v8_store(p, v8_first(a, n))
#include "kernels/outer_tmpl.h"
#undef V
#undef VTYPE
#undef VTILE
#undef VSTORE

#define V(f)            v16_##f
#define VTYPE           v16
#define VTILE           outer16
#define VSTORE(p, a, n) v16_store_first(p, a, n)
#include "kernels/outer_tmpl.h"
#undef V
#undef VTYPE
#undef VTILE
#undef VSTORE

#endif
