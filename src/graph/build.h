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

/* Has a node phases of its own? */
static inline bool tr_is_real(const tr_node *node) {
    return node->op != NULL && !node->op->view && node->value == node->id;
}
/* The node whose value input j is. */
static inline int tr_source(const tr_graph *graph, const tr_node *node, int j) {
    return graph->nodes[node->input[j]].value;
}

/* ---- buffers and segments (schedule.c) ---- */

/* A new buffer; its number. */
int tr_build_buffer(tr_builder *b, const tr_buffer *buffer);
/* The first segment in which a step with this partition and key can access the buffer. */
int tr_build_earliest(const tr_builder *b, tr_partition partition, int key,
                      const tr_access *access);
/* Append a step that makes these accesses, in `segment` or where it must be, whichever is later. */
tr_step *tr_build_step(tr_builder *b, const tr_step *step, int segment, int n_accesses,
                       const tr_access *accesses);

/* ---- steps (steps.c) ---- */

/* A buffer for the node's value. */
int tr_build_value(tr_builder *b, const tr_node *node);
/* The phase that makes a node's value, if it is pointwise. */
const tr_phase *tr_build_pointwise(const tr_builder *b, int value);
/* The key of a node's partition into so many blocks; 0: of one of its own. */
int tr_build_key(tr_builder *b, const tr_node *node, int n_blocks);
/* Append the node's steps of a stage; the sum of a value's gradients, where several layers read it;
 * the step that loads the input. */
void tr_build_stage(tr_builder *b, const tr_node *node, tr_stage stage);
void tr_build_gradient(tr_builder *b, int value);
void tr_build_load(tr_builder *b);

/* A step under construction. */
typedef struct tr_draft {
    tr_step step;
    int n_accesses;
    tr_access *accesses;
    int *bound; /* [step.n_bound] */
} tr_draft;
void tr_draft_begin(tr_builder *b, tr_draft *d, const tr_step *step);
/* It reads or writes a buffer (TR_NONE: nothing), by blocks perhaps of its own block only. */
void tr_draft_access(tr_builder *b, tr_draft *d, int buffer, bool writes, bool own_block);
/* It touches what a phase declares, in this segment, which tr_build_phase_earliest allows for the
 * partition and key: instances of pointwise values are made for it. */
void tr_draft_uses(tr_builder *b, tr_draft *d, const tr_phase *phase, int segment);
int tr_build_phase_earliest(const tr_builder *b, const tr_node *node, const tr_phase *phase,
                            tr_partition partition, int key);
/* Append it, not before `segment`. */
void tr_draft_end(tr_builder *b, tr_draft *d, int segment);

/* ---- gradients of parameters (updates.c) ---- */

/* Fill program->parameters, and append what completes their gradients and updates them. */
void tr_build_parameters(tr_builder *b);
void tr_build_updates(tr_builder *b);

#endif
