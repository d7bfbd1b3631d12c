/* The element types of safetensors, and their values as float32 (exact, or to the nearest with ties
 * to even), float64 and int64. Floats are converted in integers, so that neither the thread's
 * floating-point mode nor the compiler's flags have a say, and a NaN keeps what it carries. No
 * state.
 */
#include <string.h>

#include "io/safetensors.h"

static uint64_t load_bits(const unsigned char *in, int bytes) {
    uint64_t bits = 0;
    for (int b = 0; b < bytes; b++) bits |= (uint64_t)in[b] << 8 * b;
    return bits;
}

static size_t load_f32(float *out, const unsigned char *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)load_bits(in + 4 * i, 4);
        memcpy(out + i, &bits, sizeof bits);
    }
    return n;
}

static size_t load_bf16(float *out, const unsigned char *in, size_t n) {
    for (size_t i = 0; i < n; i++) { /* the upper half of a float32 */
        uint32_t bits = (uint32_t)load_bits(in + 2 * i, 2) << 16;
        memcpy(out + i, &bits, sizeof bits);
    }
    return n;
}

/* Sign 1, exponent 5 (bias 15), fraction 10 bits: every value is a normal float32 or zero. */
static uint32_t from_half(uint32_t half) {
    uint32_t sign = (half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 0x3ff;
    if (exponent == 31) return sign | 0x7f800000 | fraction << 13; /* infinity, NaN */
    if (exponent == 0) {
        if (fraction == 0) return sign;
        for (exponent = 1; !(fraction & 0x400); exponent--) fraction <<= 1; /* subnormal */
        fraction &= 0x3ff;
    }
    return sign | (exponent + 127 - 15) << 23 | fraction << 13;
}

static size_t load_f16(float *out, const unsigned char *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = from_half((uint32_t)load_bits(in + 2 * i, 2));
        memcpy(out + i, &bits, sizeof bits);
    }
    return n;
}

/* Sign 1, exponent 11 (bias 1023), fraction 52 bits. *fits: not finite and too large. */
static uint32_t from_double(uint64_t bits, bool *fits) {
    uint32_t sign = (uint32_t)(bits >> 32) & 0x80000000;
    int exponent = (int)(bits >> 52 & 0x7ff) - 1023 + 127; /* float32's */
    uint64_t fraction = bits & 0xfffffffffffff;
    *fits = true;
    if ((bits >> 52 & 0x7ff) == 0x7ff) { /* infinity; NaN: one bit of it must stay */
        uint32_t kept = (uint32_t)(fraction >> 29);
        return sign | 0x7f800000 | (fraction && !kept ? 1 : kept);
    }
    int shift = 29; /* fraction bits to drop: more where the result is subnormal */
    uint64_t value = fraction | (uint64_t)tr_max(exponent, 0) << 52;
    if (exponent <= 0) {
        shift = 30 - exponent;
        value = fraction | (uint64_t)1 << 52;
        if (shift > 54) return sign; /* less than half of the smallest; float64's subnormals, too */
    }
    uint64_t half = (uint64_t)1 << (shift - 1), dropped = value & (2 * half - 1);
    uint64_t rounded = value >> shift;
    if (dropped > half || (dropped == half && (rounded & 1))) rounded++;
    *fits = exponent < 255 && rounded < 0x7f800000;
    return sign | (*fits ? (uint32_t)rounded : 0x7f800000);
}

static size_t load_f64(float *out, const unsigned char *in, size_t n) {
    size_t first = n;
    for (size_t i = 0; i < n; i++) {
        bool fits;
        uint32_t bits = from_double(load_bits(in + 8 * i, 8), &fits);
        memcpy(out + i, &bits, sizeof bits);
        if (!fits && first == n) first = i;
    }
    return first;
}

/* ---- integers ---- */

static bool is_signed(const tr_dtype *type) {
    return type->name[0] == 'I';
}

/* Its two's complement in 64 bits. */
static uint64_t load_integer(const tr_dtype *type, const unsigned char *in) {
    uint64_t bits = load_bits(in, type->bytes), sign = (uint64_t)1 << (8 * type->bytes - 1);
    return is_signed(type) && (bits & sign) ? bits | ~(sign | (sign - 1)) : bits;
}

/* ---- all types ---- */

static double load_double(const tr_dtype *type, const unsigned char *in) {
    float narrow;
    double wide;
    if (type->integer) {
        uint64_t bits = load_integer(type, in);
        int64_t value;
        memcpy(&value, &bits, sizeof value);
        return is_signed(type) ? (double)value : (double)bits;
    }
    if (type->load == load_f64) {
        uint64_t bits = load_bits(in, 8);
        memcpy(&wide, &bits, sizeof wide);
        return wide;
    }
    type->load(&narrow, in, 1);
    return (double)narrow;
}

/* False: no integer, or too large. */
static bool load_i64(const tr_dtype *type, const unsigned char *in, int64_t *out) {
    if (type->integer) {
        uint64_t bits = load_integer(type, in);
        memcpy(out, &bits, sizeof bits);
        return is_signed(type) || *out >= 0;
    }
    double value = load_double(type, in);
    bool fits = value >= -0x1p63 && value < 0x1p63;
    *out = fits ? (int64_t)value : 0;
    return fits && (double)*out == value;
}

bool tr_dtype_readable(const tr_dtype *dtype, tr_type type) {
    return dtype && (dtype->load || (dtype->integer && type != TR_FLOAT32));
}

size_t tr_load(const tr_dtype *dtype, tr_type type, void *out, const unsigned char *in, size_t n) {
    if (type == TR_FLOAT32) return dtype->load(out, in, n);
    size_t first = n;
    for (size_t i = n; i-- > 0;) {
        const unsigned char *at = in + i * (size_t)dtype->bytes;
        if (type == TR_FLOAT64)
            ((double *)out)[i] = load_double(dtype, at);
        else if (!load_i64(dtype, at, (int64_t *)out + i))
            first = i;
    }
    return first;
}

void tr_store(tr_type type, unsigned char *out, const void *in, size_t n) {
    size_t bytes = (size_t)tr_dtype_of(type)->bytes;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = 0;
        if (type == TR_FLOAT32) {
            uint32_t narrow;
            memcpy(&narrow, (const float *)in + i, sizeof narrow);
            bits = narrow;
        } else {
            memcpy(&bits, (const uint64_t *)in + i, sizeof bits);
        }
        for (size_t b = 0; b < bytes; b++) out[bytes * i + b] = (unsigned char)(bits >> 8 * b);
    }
}

const tr_dtype *tr_dtype_of(tr_type type) {
    static const char *const names[] = {
        [TR_FLOAT32] = "F32", [TR_FLOAT64] = "F64", [TR_INT64] = "I64"};
    return tr_dtype_find(names[type]);
}

const tr_dtype *tr_dtype_find(const char *name) {
    static const tr_dtype types[] = {
        {"F32", 4, false, true, load_f32},   {"F16", 2, false, true, load_f16},
        {"BF16", 2, false, true, load_bf16}, {"F64", 8, false, true, load_f64},
        {"BOOL", 1, false, false, NULL},     {"U8", 1, true, false, NULL},
        {"I8", 1, true, false, NULL},        {"U16", 2, true, false, NULL},
        {"I16", 2, true, false, NULL},       {"U32", 4, true, false, NULL},
        {"I32", 4, true, false, NULL},       {"U64", 8, true, false, NULL},
        {"I64", 8, true, false, NULL},       {"F8_E4M3", 1, false, true, NULL},
        {"F8_E5M2", 1, false, true, NULL},   {"F8_E8M0", 1, false, true, NULL},
        {"F6_E2M3", 0, false, true, NULL},   {"F6_E3M2", 0, false, true, NULL},
        {"F4", 0, false, true, NULL},        {"C64", 8, false, true, NULL},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}
