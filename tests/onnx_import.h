/* A model of ONNX (onnx_model.h) as a network of ours: lines of [network], what its parameters and
 * inputs hold, and what is to come out.
 *
 * A network has one input, of images: further inputs of a model are fed (onnx_net.feeds) at layers
 * that have the right shape. ONNX names no dimension, ours are samples, channels, height and width:
 * a *view* says which are which, so that an operator along any axis is a layer along channels.
 * What cannot be said in our layers is refused, with the reason.
 */
#ifndef TR_TEST_ONNX_IMPORT_H
#define TR_TEST_ONNX_IMPORT_H

#include "onnx_model.h"
#include "ops/ops.h"

/* A tensor is [before][at axis][behind] to a view. Those at the axis are channels. */
typedef enum onnx_layout {
    ONNX_SAMPLES, /* before: samples; behind: pixels, the last dimension is the width */
    ONNX_ROWS,    /* one sample; before: rows; behind: columns */
    ONNX_PIXELS,  /* before and behind: samples, of features */
} onnx_layout;

typedef struct onnx_view {
    onnx_layout layout;
    int axis;
    bool fixed; /* by a layer that needs it so */
} onnx_view;

/* Samples, and the shape of one. */
int64_t onnx_shape(const onnx_view *view, const onnx_tensor *t, tr_shape *out);
/* Where element i of the tensor is: sample and place in the internal order. */
void onnx_place(const onnx_view *view, const onnx_tensor *t, int64_t i, int64_t *sample,
                int64_t *place);

enum { ONNX_LINES = 24, ONNX_ROWS_MAX = 16, ONNX_FEEDS = 4 };

typedef struct onnx_line {
    char name[16], text[240];
    int n_from;
    char from[4][16];
    bool needed;
} onnx_line;

typedef struct onnx_row { /* a parameter or buffer, named by line and suffix */
    char name[48];
    const onnx_tensor *values;
} onnx_row;

typedef struct onnx_feed { /* what the value of a line is to be, whatever the line computes */
    char name[16];
    const onnx_tensor *values;
    onnx_view view;
} onnx_feed;

typedef struct onnx_net {
    onnx_model *model;
    char why[200];       /* why it is refused; empty: it is not */
    const char *unknown; /* the operator that is no layer here, or NULL */
    onnx_view in, out;
    const onnx_tensor *input; /* of the network */
    int n_lines, n_rows, n_after, n_feeds;
    onnx_line lines[ONNX_LINES];
    onnx_row rows[ONNX_ROWS_MAX], after[ONNX_ROWS_MAX]; /* before, and behind a training step */
    onnx_feed feeds[ONNX_FEEDS];
    bool training;             /* the mode */
    const char *loss;          /* the value that is a loss, */
    const onnx_tensor *labels; /* and its labels; NULL where it is not wanted */
    const onnx_tensor *wanted;
    char value[16];            /* the line whose value that is; empty: it is in `after` */
    struct onnx_value *values; /* what names stand for, while it is made */
    int n_values, node;
} onnx_net;

/* The network that computes output number `output` of the model. Returns false, with `why`, where
 * there is none. `out` lives as long as the model. */
bool onnx_import(onnx_model *model, int output, onnx_net *out);
/* Its lines in [network]. */
void onnx_lines(const onnx_net *net, char *out, size_t bytes);
/* Is there a layer (or loss) for this operator? */
bool onnx_has(const char *op_type);

/* ---- for the operators (onnx_operators.c) ---- */

/* false, with the reason. */
bool onnx_refuse(onnx_net *net, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Samples are what is before `axis` (SAMPLES), ...; refused where another layer needs it otherwise.
 */
bool onnx_see(onnx_net *net, onnx_layout layout, int axis);
/* The line that makes input number `index` of the node, at *line; the tensor's sizes at *like
 * where they are known (else NULL). A tensor that is given is the network's input, or fed. */
bool onnx_data(onnx_net *net, const Onnx__NodeProto *node, size_t index, const char **line,
               const onnx_tensor **like);
/* The line that a given tensor is fed at. */
bool onnx_feed_line(onnx_net *net, const onnx_tensor *t, const char **line);
/* Input number `index` as given numbers; NULL, and refused, where it is computed. `out` is NULL
 * also where it was left out: that is no refusal. */
bool onnx_numbers(onnx_net *net, const Onnx__NodeProto *node, size_t index,
                  const onnx_tensor **out);
/* Number `index` of the one-dimensional tensor t. */
int64_t onnx_at(const onnx_tensor *t, int64_t index);
/* A tensor of other sizes with the same numbers, and one with numbers to be filled in. */
const onnx_tensor *onnx_reshaped(onnx_net *net, const onnx_tensor *t, int n_dims,
                                 const int64_t *dim);
double *onnx_new(onnx_net *net, int n_dims, const int64_t *dim, const onnx_tensor **out);
/* A line "nN_PART = TEXT from=FROM" for the node at hand; returns its name. */
const char *onnx_line_of(onnx_net *net, const char *part, const char *from, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* It reads one value more. */
void onnx_also_from(onnx_net *net, const char *from);
void onnx_set_row(onnx_net *net, const char *line, const char *suffix, const onnx_tensor *values);
/* Output number `index` of the node is the value of that line. */
void onnx_result(onnx_net *net, const Onnx__NodeProto *node, size_t index, const char *line,
                 const onnx_tensor *like);

typedef struct onnx_operator {
    const char *name;
    bool (*import)(onnx_net *net, const Onnx__NodeProto *node);
} onnx_operator;
extern const onnx_operator onnx_operators[];
extern const int onnx_n_operators;

#endif
