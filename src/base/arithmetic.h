/* What the promise of the same bits needs of the compiler: C11 with IEEE float and double, each
 * operation rounded once, in its own type and in the order of the source. meson.build compiles this
 * header alone to check the user's flags; base.h includes it for every file. */
#ifndef TR_ARITHMETIC_H
#define TR_ARITHMETIC_H

#include <float.h>

#if !defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L
#error "C11 or later is needed: -Dc_std=c11"
#endif

#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "-ffast-math, -Ofast and -ffinite-math-only change results and hide NaN"
#endif
#if defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "-funsafe-math-optimizations and its parts change results"
#endif

_Static_assert(sizeof(float) == 4 && FLT_MANT_DIG == 24, "float is IEEE binary32");
_Static_assert(sizeof(double) == 8 && DBL_MANT_DIG == 53, "double is IEEE binary64");
_Static_assert(FLT_EVAL_METHOD == 0, "results are rounded to their own type (no -mfpmath=387)");
_Static_assert(sizeof 1.0 == sizeof(double), "no -fsingle-precision-constant");

#endif
