/* The element types of safetensors, and the way to float32: exact, or to the nearest with ties to
 * even. All of it in integers, so that neither the thread's floating-point mode nor the compiler's
 * flags have a say, and a NaN keeps what it carries. No state.
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

/* An integer of `bytes` bytes, two's complement where it is signed. */
static double integer(const unsigned char *in, int bytes, bool is_signed) {
    uint64_t bits = load_bits(in, bytes), sign = (uint64_t)1 << (8 * bytes - 1);
    if (!is_signed || !(bits & sign)) return (double)bits;
    return -(double)((~bits + 1) & (sign | (sign - 1)));
}

bool tr_load_double(const tr_dtype *type, double *out, const unsigned char *in, size_t n) {
    bool is_signed = type->name[0] == 'I';
    if (!type->load && !type->integer) return false;
    for (size_t i = 0; i < n; i++) {
        const unsigned char *at = in + i * (size_t)type->bytes;
        float narrow;
        if (type->integer) {
            out[i] = integer(at, type->bytes, is_signed);
        } else if (type->load == load_f64) {
            uint64_t bits = load_bits(at, 8);
            memcpy(out + i, &bits, sizeof bits);
        } else {
            type->load(&narrow, at, 1);
            out[i] = (double)narrow;
        }
    }
    return true;
}

void tr_store_f32(unsigned char *out, const float *in, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, in + i, sizeof bits);
        for (int b = 0; b < 4; b++) out[4 * i + (size_t)b] = (unsigned char)(bits >> 8 * b);
    }
}

const tr_dtype *tr_dtype_find(const char *name) {
    static const tr_dtype types[] = {
        {"F32", 4, true, false, load_f32},   {"F16", 2, true, false, load_f16},
        {"BF16", 2, true, false, load_bf16}, {"F64", 8, true, false, load_f64},
        {"BOOL", 1, false, false, NULL},     {"U8", 1, false, true, NULL},
        {"I8", 1, false, true, NULL},        {"U16", 2, false, true, NULL},
        {"I16", 2, false, true, NULL},       {"U32", 4, false, true, NULL},
        {"I32", 4, false, true, NULL},       {"U64", 8, false, true, NULL},
        {"I64", 8, false, true, NULL},       {"F8_E4M3", 1, true, false, NULL},
        {"F8_E5M2", 1, true, false, NULL},   {"F8_E8M0", 1, true, false, NULL},
        {"F6_E2M3", 0, true, false, NULL},   {"F6_E3M2", 0, true, false, NULL},
        {"F4", 0, true, false, NULL},        {"C64", 8, true, false, NULL},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    return NULL;
}
