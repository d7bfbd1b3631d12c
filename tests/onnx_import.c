/* What the operators of a model have in common (onnx_import.h). */
#include "onnx_import.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct onnx_value {
    const char *name;
    char line[16];
    const onnx_tensor *like; /* of these sizes, NULL: not known */
} onnx_value;

/* ---- views ---- */

static void split(const onnx_tensor *t, int axis, int64_t out[3]) {
    out[0] = out[1] = out[2] = 1;
    for (int d = 0; d < t->n_dims; d++) out[d < axis ? 0 : d == axis ? 1 : 2] *= t->dim[d];
}

int64_t onnx_shape(const onnx_view *view, const onnx_tensor *t, tr_shape *out) {
    int64_t part[3];
    split(t, view->axis, part);
    *out = (tr_shape){false, 1, 1, (int)part[1]};
    switch (view->layout) {
    case ONNX_SAMPLES:
        if (view->axis + 1 < t->n_dims) out->w = (int)t->dim[t->n_dims - 1];
        out->h = out->w ? (int)(part[2] / out->w) : 0;
        return part[0];
    case ONNX_ROWS:
        out->h = (int)part[0];
        out->w = (int)part[2];
        return 1;
    case ONNX_PIXELS:
        return part[0] * part[2];
    }
    return 0;
}

void onnx_place(const onnx_view *view, const onnx_tensor *t, int64_t i, int64_t *sample,
                int64_t *place) {
    int64_t part[3];
    split(t, view->axis, part);
    int64_t b = i % part[2], c = i / part[2] % part[1], a = i / part[2] / part[1];
    *sample = view->layout == ONNX_SAMPLES ? a : view->layout == ONNX_ROWS ? 0 : a * part[2] + b;
    *place = c;
    if (view->layout == ONNX_SAMPLES) *place += b * part[1];
    if (view->layout == ONNX_ROWS) *place += (a * part[2] + b) * part[1];
}

bool onnx_see(onnx_net *net, onnx_layout layout, int axis) {
    if (net->in.fixed && (net->in.layout != layout || net->in.axis != axis))
        return onnx_refuse(net, "two layers along different axes");
    net->in = net->out = (onnx_view){layout, axis, true};
    return true;
}

/* ---- tensors ---- */

const onnx_tensor *onnx_reshaped(onnx_net *net, const onnx_tensor *t, int n_dims,
                                 const int64_t *dim) {
    onnx_tensor *new = tr_arena_alloc(&net->model->memory, sizeof *new, NULL);
    ck_assert_ptr_nonnull(new);
    *new = (onnx_tensor){.name = t->name, .n_dims = n_dims, .n = t->n, .v = t->v};
    memcpy(new->dim, dim, (size_t)n_dims * sizeof *dim);
    return new;
}

double *onnx_new(onnx_net *net, int n_dims, const int64_t *dim, const onnx_tensor **out) {
    onnx_tensor t = {.name = "", .n_dims = n_dims, .n = 1};
    for (int d = 0; d < n_dims; d++) t.n *= dim[d];
    double *v = tr_arena_alloc(&net->model->memory, (size_t)t.n * sizeof *v, NULL);
    ck_assert_ptr_nonnull(v);
    t.v = v;
    *out = onnx_reshaped(net, &t, n_dims, dim);
    return v;
}

int64_t onnx_at(const onnx_tensor *t, int64_t index) {
    ck_assert_int_lt(index, t->n);
    return (int64_t)t->v[index];
}

/* ---- values ---- */

bool onnx_refuse(onnx_net *net, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(net->why, sizeof net->why, format, args);
    va_end(args);
    return false;
}

static const onnx_value *value_of(const onnx_net *net, const char *name) {
    for (int i = net->n_values - 1; i >= 0; i--)
        if (strcmp(net->values[i].name, name) == 0) return &net->values[i];
    return NULL;
}

bool onnx_numbers(onnx_net *net, const Onnx__NodeProto *node, size_t index,
                  const onnx_tensor **out) {
    const char *name = onnx_input(node, index);
    *out = onnx_given(net->model, name);
    return name == NULL || *out || onnx_refuse(net, "%s computes what is an argument here", name);
}

/* A layer with the shape of the tensor: the channels come from a convolution, the sides from a
 * pool, and the numbers in the place of what these compute. */
bool onnx_feed_line(onnx_net *net, const onnx_tensor *t, const char **line) {
    tr_shape shape;
    char part[16];
    if (net->n_feeds == ONNX_FEEDS) return onnx_refuse(net, "more inputs than the test feeds");
    if (onnx_shape(&net->in, t, &shape) == 0 || tr_shape_size(shape) == 0)
        return onnx_refuse(net, "no elements");
    snprintf(part, sizeof part, "c%d", net->n_feeds);
    const char *from = onnx_line_of(net, part, "input",
                                    "conv2d out_channels=%d kernel_size=1 bias=false", shape.c);
    snprintf(part, sizeof part, "f%d", net->n_feeds);
    *line =
        onnx_line_of(net, part, from, "adaptive_avg_pool2d output_size=%dx%d", shape.h, shape.w);
    onnx_feed *feed = &net->feeds[net->n_feeds++];
    strcpy(feed->name, *line);
    feed->values = t;
    feed->view = net->in;
    return true;
}

bool onnx_data(onnx_net *net, const Onnx__NodeProto *node, size_t index, const char **line,
               const onnx_tensor **like) {
    const char *name = onnx_input(node, index);
    if (name == NULL) return onnx_refuse(net, "input %zu is missing", index);
    const onnx_value *value = value_of(net, name);
    const onnx_tensor *t = value ? value->like : onnx_given(net->model, name);
    if (like) *like = t;
    if (value) {
        *line = value->line;
        return true;
    }
    if (t == NULL) return onnx_refuse(net, "%s has no value", name);
    for (int64_t i = 0; i < t->n; i++)
        if (fabs(t->v[i]) > FLT_MAX) return onnx_refuse(net, "numbers that no float32 is");
    if (net->input == NULL || net->input == t) {
        net->input = t;
        *line = "input";
        return true;
    }
    return onnx_feed_line(net, t, line);
}

/* ---- lines ---- */

const char *onnx_line_of(onnx_net *net, const char *part, const char *from, const char *format,
                         ...) {
    ck_assert_int_lt(net->n_lines, ONNX_LINES);
    onnx_line *line = &net->lines[net->n_lines++];
    va_list args;
    *line = (onnx_line){.n_from = 1};
    snprintf(line->name, sizeof line->name, "n%d%s", net->node, part);
    snprintf(line->from[0], sizeof line->from[0], "%s", from);
    va_start(args, format);
    int n = vsnprintf(line->text, sizeof line->text, format, args);
    va_end(args);
    ck_assert(n >= 0 && (size_t)n < sizeof line->text);
    return line->name;
}

void onnx_also_from(onnx_net *net, const char *from) {
    onnx_line *line = &net->lines[net->n_lines - 1];
    ck_assert_int_lt(line->n_from, 4);
    snprintf(line->from[line->n_from++], sizeof line->from[0], "%s", from);
}

void onnx_set_row(onnx_net *net, const char *line, const char *suffix, const onnx_tensor *values) {
    ck_assert_int_lt(net->n_rows, ONNX_ROWS_MAX);
    onnx_row *row = &net->rows[net->n_rows++];
    snprintf(row->name, sizeof row->name, "%s.%s", line, suffix);
    row->values = values;
}

void onnx_result(onnx_net *net, const Onnx__NodeProto *node, size_t index, const char *line,
                 const onnx_tensor *like) {
    onnx_value *value = &net->values[net->n_values++];
    value->name = node->output[index];
    value->like = like;
    snprintf(value->line, sizeof value->line, "%s", line);
}

static onnx_line *line_named(onnx_net *net, const char *name) {
    for (int i = 0; i < net->n_lines; i++)
        if (strcmp(net->lines[i].name, name) == 0) return &net->lines[i];
    return NULL;
}

static void need(onnx_net *net, const char *name) {
    onnx_line *line = line_named(net, name);
    if (line == NULL || line->needed) return;
    line->needed = true;
    for (int i = 0; i < line->n_from; i++) need(net, line->from[i]);
}

static bool is_needed(onnx_net *net, const char *name) {
    const onnx_line *line = line_named(net, name);
    return line && line->needed;
}

void onnx_lines(const onnx_net *net, char *out, size_t bytes) {
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; i < net->n_lines; i++) {
        const onnx_line *line = &net->lines[i];
        if (!line->needed) continue;
        n += (size_t)snprintf(out + n, bytes - n, "%s = %s from=", line->name, line->text);
        for (int k = 0; k < line->n_from && n < bytes; k++)
            n += (size_t)snprintf(out + n, bytes - n, "%s%s", k ? "," : "", line->from[k]);
        if (n < bytes) n += (size_t)snprintf(out + n, bytes - n, "\n");
        ck_assert_uint_lt(n, bytes);
    }
}

/* ---- the model ---- */

static const onnx_operator *operator_of(const char *op_type) {
    for (int i = 0; i < onnx_n_operators; i++)
        if (strcmp(onnx_operators[i].name, op_type) == 0) return &onnx_operators[i];
    return NULL;
}

bool onnx_has(const char *op_type) {
    return operator_of(op_type) != NULL;
}

static bool import_nodes(onnx_net *net) {
    const Onnx__GraphProto *g = net->model->graph;
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnx__NodeProto *node = g->node[i];
        const onnx_operator *op = operator_of(node->op_type);
        if (op == NULL) {
            net->unknown = node->op_type;
            return onnx_refuse(net, "%s is no layer here", node->op_type);
        }
        net->node = (int)i;
        if (!op->import(net, node)) return false;
    }
    return true;
}

/* Only lines that the wanted value needs, and their rows and feeds. */
static bool keep_needed(onnx_net *net, const char *wanted) {
    const onnx_value *value = value_of(net, wanted);
    if (value) {
        strcpy(net->value, value->line);
        need(net, value->line);
    } else if (net->n_after) { /* behind a training step */
        for (int i = 0; i < net->n_lines; i++) net->lines[i].needed = true;
    } else {
        return onnx_refuse(net, "%s is no value of a layer here", wanted);
    }
    int n_rows = 0, n_feeds = 0;
    for (int i = 0; i < net->n_rows; i++) {
        char line[48];
        snprintf(line, sizeof line, "%.*s", (int)strcspn(net->rows[i].name, "."),
                 net->rows[i].name);
        if (is_needed(net, line)) net->rows[n_rows++] = net->rows[i];
    }
    for (int i = 0; i < net->n_feeds; i++)
        if (is_needed(net, net->feeds[i].name)) net->feeds[n_feeds++] = net->feeds[i];
    net->n_rows = n_rows;
    net->n_feeds = n_feeds;
    return true;
}

bool onnx_import(onnx_model *model, int output, onnx_net *out) {
    *out = (onnx_net){.model = model};
    if (model->why) return onnx_refuse(out, "%s", model->why);
    size_t n_values = 1; /* and a second for what is cut */
    for (size_t i = 0; i < model->graph->n_node; i++)
        n_values += 1 + model->graph->node[i]->n_output;
    out->values = tr_arena_alloc(&model->memory, n_values * sizeof *out->values, NULL);
    ck_assert_ptr_nonnull(out->values);
    if (!import_nodes(out)) return false;
    if (out->input == NULL) return onnx_refuse(out, "nothing is computed");
    out->wanted = &model->outputs[output];
    if (out->wanted->n == 0) return onnx_refuse(out, "no elements");
    if (out->loss && strcmp(out->loss, out->wanted->name) != 0) out->labels = NULL;
    return keep_needed(out, model->outputs[output].name);
}
