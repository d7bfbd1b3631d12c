/* The register tile of forward convolutions and linear layers: broadcast an input element, multiply
 * it with a vector of output channels. Private to this module.
 *
 * A tile computes up to two rows (p0, p1) of up to seven outputs each, one vector of output
 * channels wide. It is one chain of multiply-adds per output over kernel rows and their elements,
 * so its shape never shows in the bits. tile_tmpl.h holds the code for either width.
 */
#ifndef TR_TILE_H
#define TR_TILE_H

#include <math.h>

#include "kernels/vec.h"

typedef struct tile {
    const float *x; /* window of the first output */
    int64_t step,
        below;         /* to the window of the next output, of the same output in the second row */
    int kh, runs;      /* rows of the window; runs of elements in a row */
    int run, last;     /* elements in each run, and in those of the last row */
    int64_t row, col;  /* from one row of the window, one run, to the next */
    const float *w;    /* vector of weights of the first element */
    int64_t ws;        /* to the vector of the next */
    int64_t w_skip;    /* more between rows */
    const float *bias; /* vector, or NULL */
    float floor;       /* 0 for relu, -INFINITY for none */
    float *y;          /* vector of the first output */
    int64_t ys, y_below; /* to the next output, to the second row */
} tile;

typedef void (*tile_function)(const tile *t);

#define V(f)  v8_##f
#define VTYPE v8
#define VTILE tile8
#include "kernels/tile_tmpl.h"
#undef V
#undef VTYPE
#undef VTILE
#define V(f)  v16_##f
#define VTYPE v16
#define VTILE tile16
#include "kernels/tile_tmpl.h"
#undef V
#undef VTYPE
#undef VTILE

#endif
