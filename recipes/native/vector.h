/* Vectors of 16 floats, and what the training layers need of them. */
#ifndef TRAIN_VECTOR_H
#define TRAIN_VECTOR_H

#include <stdint.h>
#include <string.h>

enum { LANES = 16 };

typedef float vec __attribute__((vector_size(4 * 16)));
typedef int ivec __attribute__((vector_size(4 * 16)));

#define INLINE static inline __attribute__((always_inline))
/* Clones for wider vectors want GCC 12 for these names, and a C library that chooses among them as it loads. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12
#define FAST __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define FAST
#endif

/* Wider vectors than the registers go through memory with GCC: what multiplies matrices takes these. */
typedef float vec8 __attribute__((vector_size(4 * 8)));
typedef int ivec8 __attribute__((vector_size(4 * 8)));

INLINE vec8 load8(const float *p)
{
    vec8 v;
    memcpy(&v, p, sizeof v); /* tensors need not be aligned */
    return v;
}

INLINE void store8(float *p, vec8 v) { memcpy(p, &v, sizeof v); }

INLINE vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

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

INLINE vec8 tanh8(vec8 x)
{
    const vec8 limit = (vec8){0} + 8;
    ivec8 high = x > limit, low = x < -limit;
    x = (vec8)(((ivec8)x & ~(low | high)) | ((ivec8)-limit & low) | ((ivec8)limit & high));
    vec8 s = x * x;
    vec8 p = (((1.52924613e-08f * s + 2.19391242e-05f) * s + 3.57431331e-03f) * s + 1.34467953e-01f) * s + 1;
    vec8 q = (((8.54769443e-07f * s + 3.41571859e-04f) * s + 2.61748038e-02f) * s + 4.67801246e-01f) * s + 1;
    return x * p / q;
}

INLINE vec8 sigmoid8(vec8 x) { return tanh8(x * 0.5f) * 0.5f + 0.5f; }

#endif
