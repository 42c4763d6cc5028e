/* Vectors of 8 floats, and what the training layers need of them. Wider ones than the registers go through memory with
 * GCC; AVX-512 gains from its many registers. */
#ifndef TRAIN_VECTOR_H
#define TRAIN_VECTOR_H

#include <stdint.h>
#include <string.h>

enum { LANES = 8 };

typedef float vec __attribute__((vector_size(4 * 8)));
typedef int ivec __attribute__((vector_size(4 * 8)));

#define INLINE static inline __attribute__((always_inline))
/* Clones for wider vectors want GCC 12 for these names, and a C library that chooses among them as it loads. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif

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

INLINE vec sigmoid(vec x) { return hyperbolic_tangent(x * 0.5f) * 0.5f + 0.5f; }

#endif
