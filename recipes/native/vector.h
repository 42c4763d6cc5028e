/* Vectors of 8 floats, and what the training layers need of them. Wider ones than the registers go through memory with
 * GCC; AVX-512 gains from its many registers. */
#ifndef TRAIN_VECTOR_H
#define TRAIN_VECTOR_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

typedef float vec __attribute__((vector_size(4 * 8)));
typedef int ivec __attribute__((vector_size(4 * 8)));

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v); /* tensors need not be aligned */
    return v;
}

INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

/* The first `count` lanes, or all of them where there are more; zeros behind. */
INLINE vec load_some(const float *p, int64_t count)
{
    vec v = {0};
    memcpy(&v, p, (count < LANES ? count : LANES) * sizeof *p);
    return v;
}

INLINE void store_some(float *p, vec v, int64_t count) { memcpy(p, &v, (count < LANES ? count : LANES) * sizeof *p); }

INLINE vec spread(float value) { return (vec){0} + value; }

INLINE vec select(ivec where, vec yes, vec no) { return (vec)(((ivec)yes & where) | ((ivec)no & ~where)); }

/* tanh to 4e-7: a minimax quotient x p(x^2) / q(x^2) on [-8, 8], beyond which tanh is 1 within rounding. */
INLINE vec hyperbolic_tangent(vec x)
{
    const vec limit = spread(8);
    x = select(x > limit, limit, select(x < -limit, -limit, x));
    vec s = x * x;
    vec p = (((1.52924613e-08f * s + 2.19391242e-05f) * s + 3.57431331e-03f) * s + 1.34467953e-01f) * s + 1;
    vec q = (((8.54769443e-07f * s + 3.41571859e-04f) * s + 2.61748038e-02f) * s + 4.67801246e-01f) * s + 1;
    return x * p / q;
}

INLINE vec root(vec x)
{
    for (int k = 0; k < LANES; k++) x[k] = sqrtf(x[k]);
    return x;
}

INLINE vec positive(vec x) { return select(x > 0, x, spread(0)); }

INLINE float total_of(vec x)
{
    float total = 0;
    for (int k = 0; k < LANES; k++) total += x[k];
    return total;
}

/* The total of each of 8 vectors: neighbours, then pairs, then halves of two of them beside each other. */
INLINE vec totals_of(const vec x[LANES])
{
    vec two[4], four[2];
    for (int k = 0; k < 4; k++) {
        vec a = x[2 * k], b = x[2 * k + 1];
        two[k] = SHUFFLE(a, b, 0, 8, 2, 10, 4, 12, 6, 14) + SHUFFLE(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (int k = 0; k < 2; k++) {
        vec a = two[2 * k], b = two[2 * k + 1];
        four[k] = SHUFFLE(a, b, 0, 1, 8, 9, 4, 5, 12, 13) + SHUFFLE(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
    }
    return SHUFFLE(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11) + SHUFFLE(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* To 2e-7 of the logarithm's size and 1: the exponent, and a series about 1. x is a normal number above 0. */
INLINE vec log_2(vec x)
{
    ivec bits = (ivec)x, exponent = (bits - 0x3f3504f3) >> 23;
    vec m = (vec)(bits - (exponent << 23)), s = (m - 1) / (m + 1), q = s * s;
    vec series = (((q * (1 / 9.0f) + 1 / 7.0f) * q + 1 / 5.0f) * q + 1 / 3.0f) * q + 1;
    return __builtin_convertvector(exponent, vec) + s * series * 2.885390082f;
}

/* 2^x to 2e-7, for x in -126 to 127. */
INLINE vec exp_2(vec x)
{
    ivec whole = __builtin_convertvector(x + select(x < 0, spread(-0.5f), spread(0.5f)), ivec);
    vec f = (x - __builtin_convertvector(whole, vec)) * 0.6931471806f;
    vec p = ((((f / 720 + 1 / 120.0f) * f + 1 / 24.0f) * f + 1 / 6.0f) * f + 0.5f) * f + 1;
    return (p * f + 1) * (vec)((whole + 127) << 23);
}

INLINE vec sigmoid(vec x) { return hyperbolic_tangent(x * 0.5f) * 0.5f + 0.5f; }

#endif
