/* Building a program: what its parts share. Private to graph/. */
#ifndef TR_BUILD_H
#define TR_BUILD_H

#include "graph/graph.h"

typedef struct tr_past {     /* an access that later ones may have to stay behind */
    int segment, key, order; /* order: as the kinds of partitions follow each other in a segment */
    bool writes;
    tr_owner owner;
    int next; /* in builder->touches, of the same buffer */
} tr_past;

typedef struct tr_instance { /* a pointwise value made in one segment */
    int value, segment, buffer;
} tr_instance;

typedef struct tr_builder {
    tr_program *program;
    const tr_graph *graph;
    tr_error *err;
    bool failed;      /* no memory: nothing is added any more */
    bool *need;       /* [n_nodes] the gradient of its value is wanted */
    int *n_readers;   /* [n_nodes] of its value */
    int *value;       /* [n_nodes] buffer of its value; TR_NONE: pointwise, made in instances */
    int *depth;       /* [n_nodes] pointwise values in a row that end with it */
    int *dy;          /* [n_nodes] buffer of its value's gradient */
    int *first_edge;  /* [n_nodes + 1] of its inputs in dx */
    int *dx;          /* buffers of the gradients that it makes of its inputs */
    int *first_own;   /* [n_nodes] buffers of its own resources */
    int *first_state; /* [n_nodes] and of its state */
    int *newest;      /* [n_buffers] its last touch, in touches */
    int n_touches, n_instances, n_keys;
    tr_past *touches;
    tr_instance *instances;
} tr_builder;

/* A new buffer; its number. */
int tr_build_buffer(tr_builder *b, const tr_buffer *buffer);
/* The first segment in which a step with this partition and key can access the buffer. */
int tr_build_earliest(const tr_builder *b, tr_partition partition, int key,
                      const tr_access *access);
/* Append a step that makes these accesses, in `segment` or where it must be, whichever is later. */
tr_step *tr_build_step(tr_builder *b, const tr_step *step, int segment, int n_accesses,
                       const tr_access *accesses);

#endif
