/* Vectors of LANES floats (4 or 8): what they need beyond the operators that compilers give them. */
#ifndef GTCRN_VECTOR_H
#define GTCRN_VECTOR_H

#include <math.h>
#include <string.h>

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int ivec __attribute__((vector_size(4 * LANES)));

#if defined(__clang__) || __GNUC__ >= 12
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, (ivec){__VA_ARGS__})
#endif

#if LANES == 8
#define EVEN(a, b) SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b) SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#define MERGE_LOW(a, b) SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11) /* a0 b0 a1 b1 ... */
#define MERGE_HIGH(a, b) SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define FRONT_BACK(a, b) SHUFFLE(a, b, 0, 1, 2, 3, 12, 13, 14, 15)
#define REVERSE(a) SHUFFLE(a, a, 7, 6, 5, 4, 3, 2, 1, 0)
/* The sum of all lanes, in every lane. */
#define FOLD(a)                                                                                                        \
    (a += SHUFFLE(a, a, 4, 5, 6, 7, 0, 1, 2, 3), a += SHUFFLE(a, a, 2, 3, 0, 1, 6, 7, 4, 5),                           \
     a += SHUFFLE(a, a, 1, 0, 3, 2, 5, 4, 7, 6))
#else
#define EVEN(a, b) SHUFFLE(a, b, 0, 2, 4, 6)
#define ODD(a, b) SHUFFLE(a, b, 1, 3, 5, 7)
#define MERGE_LOW(a, b) SHUFFLE(a, b, 0, 4, 1, 5)
#define MERGE_HIGH(a, b) SHUFFLE(a, b, 2, 6, 3, 7)
#define REVERSE(a) SHUFFLE(a, a, 3, 2, 1, 0)
#define FOLD(a) (a += SHUFFLE(a, a, 2, 3, 0, 1), a += SHUFFLE(a, a, 1, 0, 3, 2))
#endif

static inline vec load(const float *p)
{
    vec v;
    memcpy(&v, p, sizeof v); /* no alignment is asked of the caller's buffers */
    return v;
}

static inline void store(float *p, vec v) { memcpy(p, &v, sizeof v); }

static inline vec root(vec x)
{
    for (int k = 0; k < LANES; k++) x[k] = sqrtf(x[k]);
    return x;
}

static inline float sum(vec x)
{
    float total = 0;
    for (int k = 0; k < LANES; k++) total += x[k];
    return total;
}

/* max(x, 0) + slope min(x, 0), as a multiple of x and one of |x|. */
static inline vec prelu(vec x, const float slope[2][8])
{
    return load(slope[0]) * x + load(slope[1]) * (vec)((ivec)x & 0x7fffffff);
}

/* tanh to 4e-7: a minimax quotient x p(x^2) / q(x^2) on [-8, 8], beyond which tanh is 1 within rounding. */
static inline vec hyperbolic_tangent(vec x)
{
    const vec limit = (vec){0} + 8;
    ivec low = x < -limit, high = x > limit;
    x = (vec)(((ivec)x & ~(low | high)) | ((ivec)-limit & low) | ((ivec)limit & high));
    vec s = x * x;
    vec p = (((1.52924613e-08f * s + 2.19391242e-05f) * s + 3.57431331e-03f) * s + 1.34467953e-01f) * s + 1;
    vec q = (((8.54769443e-07f * s + 3.41571859e-04f) * s + 2.61748038e-02f) * s + 4.67801246e-01f) * s + 1;
    return x * p / q;
}

/* sigmoid(x), given x / 2: the halves are folded into the weights. */
static inline vec sigmoid_of_half(vec x) { return hyperbolic_tangent(x) * 0.5f + 0.5f; }

#endif
