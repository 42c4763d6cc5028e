/* What the layers are made of: sums of weighted inputs, for several bands at once so that a weight is loaded once.

   A frame is [band][channel]. Weights come in blocks of eight outputs, [input][8]; a block is one vector of 8 lanes
   or two of 4, which is what loops over `lane` are for. */
#ifndef GTCRN_DENSE_H
#define GTCRN_DENSE_H

#include "layout.h"
#include "vector.h"

enum {
    ROWS = 3, /* bands at once for several vectors of outputs */
    MANY = 11 /* and for one, 12 where weights are shared: about as many sums as are begun until the first is there */
};

typedef float row[CHANNELS];

/* Pairs of blocks of outputs, a vector of each at a time: from `lane` on, and from lane + 8 on. */
#define FOR_PAIRS(lane)                                 \
    for (int pair = 0; pair < CHANNELS; pair += 16) \
        for (int lane = pair; lane < pair + 8; lane += LANES)

/* acc[o][r] = bias, for `blocks` vectors of outputs that lie `step` floats apart. */
static inline void start(int blocks, vec acc[][ROWS], const float *bias, int step)
{
    for (int o = 0; o < blocks; o++)
        for (int r = 0; r < ROWS; r++) acc[o][r] = load(bias + o * step);
}

/* acc[o][r] += weight[o] x[r]: the weight blocks [n][8] lie `step` floats apart, the rows of x `stride` floats. */
static inline void dense(int blocks, vec acc[][ROWS], const float *weight, int step, const float *x, int stride, int n)
{
    for (int c = 0; c < n; c++)
        for (int o = 0; o < blocks; o++) {
            vec w = load(weight + o * step + 8 * c);
            for (int r = 0; r < ROWS; r++) acc[o][r] += w * x[c + r * stride];
        }
}

/* The same for one vector of outputs of many rows. */
static inline void start_many(int rows, vec acc[], const float *bias)
{
    for (int r = 0; r < rows; r++) acc[r] = load(bias);
}

static inline void dense_many(int rows, vec acc[], const float *weight, const float *x, int stride, int n)
{
    for (int c = 0; c < n; c++) {
        vec w = load(weight + 8 * c);
        for (int r = 0; r < rows; r++) acc[r] += w * x[c + r * stride];
    }
}

/* The same for one row and one block: acc + weight x. */
static inline vec dense_row(vec acc, const float *weight, const float *x, int n)
{
    for (int c = 0; c < n; c++) acc += load(weight + 8 * c) * x[c];
    return acc;
}

static inline void store_rows(float *y, int stride, const vec acc[ROWS])
{
    for (int r = 0; r < ROWS; r++) store(y + r * stride, acc[r]);
}

static inline void store_prelu(float *y, int stride, const vec acc[ROWS], const float slope[2][8])
{
    for (int r = 0; r < ROWS; r++) store(y + r * stride, prelu(acc[r], slope));
}

static inline void store_many_prelu(int rows, float *y, const vec acc[], const float slope[2][8])
{
    for (int r = 0; r < rows; r++) store(y + r * CHANNELS, prelu(acc[r], slope));
}

/* h' of a GRU, given h and the sums of its gates: n of the state, r, z (both halved), n of the input.
   In this order the state adds to the first three, the input to the last three. */
static inline vec gru(const vec sums[4], vec h)
{
    vec n = hyperbolic_tangent(sums[3] + sigmoid_of_half(sums[1]) * sums[0]);
    return n + sigmoid_of_half(sums[2]) * (h - n);
}

static inline void add(row *x, const row *y, int rows)
{
    for (int i = 0; i < rows; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) store(x[i] + lane, load(x[i] + lane) + load(y[i] + lane));
}

#endif
