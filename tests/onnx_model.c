/* The reader of ONNX models and their test data (onnx_model.h). */
#include "onnx_model.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct file {
    uint8_t *bytes;
    size_t n;
} file;

/* false where there is none of that name. */
static bool read_file(const char *path, file *out) {
    FILE *from = fopen(path, "rb");
    *out = (file){0};
    if (from == NULL) return false;
    ck_assert_int_eq(fseek(from, 0, SEEK_END), 0);
    long n = ftell(from);
    ck_assert_msg(n >= 0 && fseek(from, 0, SEEK_SET) == 0, "%s cannot be read", path);
    *out = (file){malloc((size_t)n + 1), (size_t)n};
    ck_assert_ptr_nonnull(out->bytes);
    ck_assert_msg(fread(out->bytes, 1, out->n, from) == out->n, "%s cannot be read", path);
    fclose(from);
    return true;
}

static void *keep(onnx_model *m, size_t bytes) {
    void *at = tr_arena_alloc(&m->memory, bytes ? bytes : 1, NULL);
    ck_assert_ptr_nonnull(at);
    return at;
}

/* ---- tensors ---- */

#define RAW(type)                                                                                  \
    {                                                                                              \
        type x;                                                                                    \
        ck_assert_uint_le(((size_t)i + 1) * sizeof x, from->raw_data.len);                         \
        memcpy(&x, from->raw_data.data + (size_t)i * sizeof x, sizeof x);                          \
        return (double)x;                                                                          \
    }

static double raw_element(const Onnx__TensorProto *from, int64_t i) {
    switch ((Onnx__TensorProto__DataType)from->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT:
        RAW(float)
    case ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE:
        RAW(double)
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT8:
        RAW(int8_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__BOOL:
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT8:
        RAW(uint8_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT16:
        RAW(int16_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT16:
        RAW(uint16_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT32:
        RAW(int32_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
        RAW(uint32_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__INT64:
        RAW(int64_t)
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT64:
        RAW(uint64_t)
    default:
        ck_abort_msg("%s: type %d", from->name, from->data_type);
    }
    return 0;
}

static double element(const Onnx__TensorProto *from, int64_t i) {
    size_t k = (size_t)i;
    if (from->has_raw_data) return raw_element(from, i);
    if (k < from->n_float_data) return (double)from->float_data[k];
    if (k < from->n_double_data) return from->double_data[k];
    if (k < from->n_int64_data) return (double)from->int64_data[k];
    if (k < from->n_uint64_data) return (double)from->uint64_data[k];
    ck_assert_msg(k < from->n_int32_data, "%s: %zu elements are missing", from->name, k);
    return from->int32_data[k];
}

/* NULL, or what the type is that no double holds. */
static const char *other_type(const Onnx__TensorProto *from) {
    switch ((Onnx__TensorProto__DataType)from->data_type) {
    case ONNX__TENSOR_PROTO__DATA_TYPE__STRING:
        return "strings";
    case ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16:
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16:
        return "floats of 16 bits";
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64:
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX128:
        return "complex numbers";
    default:
        return NULL;
    }
}

static void convert(onnx_model *m, const char *name, const Onnx__TensorProto *from,
                    onnx_tensor *to) {
    const char *other = other_type(from);
    if (other) {
        m->why = other;
        return;
    }
    *to = (onnx_tensor){.name = name, .n_dims = (int)from->n_dims, .n = 1};
    ck_assert_uint_le(from->n_dims, ONNX_DIMS);
    for (int d = 0; d < to->n_dims; d++) {
        to->dim[d] = from->dims[d];
        to->n *= to->dim[d];
    }
    double *v = keep(m, (size_t)to->n * sizeof *v);
    for (int64_t i = 0; i < to->n; i++) v[i] = element(from, i);
    to->v = v;
}

/* ---- the model ---- */

/* The tensors in KIND_0.pb, KIND_1.pb, ..., as `named` calls and types them. */
static int read_data(onnx_model *m, const char *folder, const char *kind, size_t n_named,
                     Onnx__ValueInfoProto *const *named, onnx_tensor *to) {
    int n = 0;
    for (size_t i = 0; i < n_named && m->why == NULL; i++) {
        char path[512];
        file from;
        snprintf(path, sizeof path, "%s/test_data_set_0/%s_%zu.pb", folder, kind, i);
        if (!read_file(path, &from)) break;
        if (named[i]->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
            Onnx__TensorProto *t = onnx__tensor_proto__unpack(NULL, from.n, from.bytes);
            ck_assert_msg(t != NULL, "%s is no tensor", path);
            convert(m, named[i]->name, t, &to[n++]);
            onnx__tensor_proto__free_unpacked(t, NULL);
        } else {
            m->why = "sequences or optional values";
        }
        free(from.bytes);
    }
    return n;
}

static bool is_initializer(const Onnx__GraphProto *g, const char *name) {
    for (size_t i = 0; i < g->n_initializer; i++)
        if (strcmp(g->initializer[i]->name, name) == 0) return true;
    return false;
}

/* Initializers that are inputs, too, have no file. */
static void read_inputs(onnx_model *m, const char *folder) {
    const Onnx__GraphProto *g = m->graph;
    Onnx__ValueInfoProto **named = keep(m, g->n_input * sizeof(Onnx__ValueInfoProto *));
    size_t n = 0;
    for (size_t i = 0; i < g->n_input; i++)
        if (!is_initializer(g, g->input[i]->name)) named[n++] = g->input[i];
    m->given = keep(m, (g->n_input + g->n_initializer + g->n_node) * sizeof *m->given);
    m->n_given = read_data(m, folder, "input", n, named, m->given);
    for (size_t i = 0; i < g->n_initializer && m->why == NULL; i++)
        convert(m, g->initializer[i]->name, g->initializer[i], &m->given[m->n_given++]);
    for (size_t i = 0; i < g->n_node && m->why == NULL; i++) {
        const Onnx__AttributeProto *value = onnx_attribute(g->node[i], "value");
        if (strcmp(g->node[i]->op_type, "Constant") == 0 && value && value->t)
            convert(m, g->node[i]->output[0], value->t, &m->given[m->n_given++]);
    }
}

void onnx_read(const char *folder, onnx_model *out) {
    char path[512];
    file from;
    *out = (onnx_model){0};
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    ck_assert_msg(read_file(path, &from), "%s is missing", path);
    out->proto = onnx__model_proto__unpack(NULL, from.n, from.bytes);
    ck_assert_msg(out->proto && out->proto->graph, "%s is no model", path);
    free(from.bytes);
    out->graph = out->proto->graph;
    for (size_t i = 0; i < out->proto->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = out->proto->opset_import[i];
        if (set->domain == NULL || set->domain[0] == '\0') out->opset = set->version;
    }
    read_inputs(out, folder);
    out->outputs = keep(out, out->graph->n_output * sizeof *out->outputs);
    out->n_outputs =
        read_data(out, folder, "output", out->graph->n_output, out->graph->output, out->outputs);
    ck_assert_msg(out->why || out->n_outputs > 0, "%s has no output", folder);
}

void onnx_free(onnx_model *model) {
    onnx__model_proto__free_unpacked(model->proto, NULL);
    tr_arena_free(&model->memory);
    *model = (onnx_model){0};
}

const onnx_tensor *onnx_given(const onnx_model *model, const char *name) {
    for (int i = 0; name && i < model->n_given; i++)
        if (strcmp(model->given[i].name, name) == 0) return &model->given[i];
    return NULL;
}

/* ---- attributes ---- */

const Onnx__AttributeProto *onnx_attribute(const Onnx__NodeProto *node, const char *name) {
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(node->attribute[i]->name, name) == 0) return node->attribute[i];
    return NULL;
}

int64_t onnx_int(const Onnx__NodeProto *node, const char *name, int64_t fallback) {
    const Onnx__AttributeProto *a = onnx_attribute(node, name);
    return a ? a->i : fallback;
}

double onnx_float(const Onnx__NodeProto *node, const char *name, double fallback) {
    const Onnx__AttributeProto *a = onnx_attribute(node, name);
    return a ? (double)a->f : fallback;
}

bool onnx_is(const Onnx__NodeProto *node, const char *name, const char *value) {
    const Onnx__AttributeProto *a = onnx_attribute(node, name);
    return a && a->s.len == strlen(value) && memcmp(a->s.data, value, a->s.len) == 0;
}

int64_t onnx_nth(const Onnx__NodeProto *node, const char *name, size_t index, int64_t fallback) {
    const Onnx__AttributeProto *a = onnx_attribute(node, name);
    return a && index < a->n_ints ? a->ints[index] : fallback;
}

const char *onnx_input(const Onnx__NodeProto *node, size_t index) {
    return index < node->n_input && node->input[index][0] ? node->input[index] : NULL;
}
