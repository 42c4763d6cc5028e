/* The dual-path recurrence: along the bands of a frame, then along the frames of a band. */
#include "dense.h"

/* What the input adds to the gates, for every band, in blocks of eight units. */
static inline void intra_gates(const dual_path *p, const row *x, float (*gates)[3][WIDTH][8])
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int o = lane / 8, at = lane % 8, from = lane / GROUP * GROUP;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[3][ROWS];
            start(3, acc, p->intra_bias[o][1] + at, 8);
            dense(3, acc, p->intra_input[o][0][0] + at, GROUP * 8, x[i] + from, CHANNELS, GROUP);
            for (int k = 0; k < 3; k++) store_rows(gates[o][k][i] + at, 8, acc[k]);
        }
    }
}

/* Whether a unit goes backward along the bands. */
static inline int backward(int unit) { return unit % GROUP >= UNITS; }

/* Where units of two cells share a vector, the first half of one and the second of another; else the lane's own. */
static inline vec both_ways(const float *forward_at, const float *backward_at, int lane)
{
#if CHANNELS / 4 < LANES
    return FRONT_BACK(load(forward_at + lane % 8), load(backward_at + lane % 8));
#else
    return load((backward(lane) ? backward_at : forward_at) + lane % 8);
#endif
}

/* Unit c of the cell of each lane. */
static inline vec of_cell(const row h, int lane, int c)
{
#if CHANNELS / 4 < LANES
    return FRONT_BACK((vec){0} + h[lane + c], (vec){0} + h[lane + UNITS + c]);
#else
    return (vec){0} + h[lane / UNITS * UNITS + c];
#endif
}

/* One step of a vector of units, given the state h of all: forward units at band i, backward ones at band j. */
static inline vec intra_step(const dual_path *p, float (*gates)[3][WIDTH][8], const row h, int lane, int i, int j)
{
    int o = lane / 8, at = lane % 8;
    vec sums[4] = {load(p->intra_bias[o][0] + at)};
    for (int k = 0; k < 3; k++) sums[k + 1] = both_ways(gates[o][k][i], gates[o][k][j], lane);
    for (int c = 0; c < UNITS; c++) {
        vec unit = of_cell(h, lane, c);
        for (int k = 0; k < 3; k++) sums[k] += load(p->intra_state[o][k][c] + at) * unit;
    }
    return gru(sums, load(h + lane));
}

/* Along the bands, both groups and directions at once: x [33][16] to y [33][16]. */
static inline void intra_gru(const dual_path *p, const row *x, row *y)
{
    float gates[EIGHTS][3][WIDTH][8];
    row h = {0}, next;
    intra_gates(p, x, gates);
    for (int i = 0; i < WIDTH; i++) {
        int j = WIDTH - 1 - i; /* where the backward units are */
        for (int lane = 0; lane < CHANNELS; lane += LANES) store(next + lane, intra_step(p, gates, h, lane, i, j));
        memcpy(h, next, sizeof h);
        for (int unit = 0; unit < CHANNELS; unit += UNITS)
            memcpy(y[backward(unit) ? j : i] + unit, h + unit, UNITS * sizeof(float));
    }
}

/* Every band one step in time: x [33][16], its states h [33][16]. */
static inline void inter_gru(const dual_path *p, const row *x, row *h)
{
    for (int from = 0; from < CHANNELS; from += GROUP)
        for (int i = 0; i < WIDTH; i += ROWS) {
            float next[ROWS][GROUP];
            for (int unit = 0; unit < GROUP; unit += LANES) {
                int lane = from + unit, o = lane / 8, at = lane % 8;
                vec acc[4][ROWS];
                start(4, acc, p->inter_bias[o][0] + at, 8);
                dense(3, acc, p->inter_state[i / SHARED][o][0][0] + at, GROUP * 8, h[i] + from, CHANNELS, GROUP);
                dense(3, acc + 1, p->inter_input[i / SHARED][o][0][0] + at, GROUP * 8, x[i] + from, CHANNELS, GROUP);
                for (int r = 0; r < ROWS; r++) {
                    const vec sums[4] = {acc[0][r], acc[1][r], acc[2][r], acc[3][r]};
                    store(next[r] + unit, gru(sums, load(h[i + r] + lane)));
                }
            }
            for (int r = 0; r < ROWS; r++) memcpy(h[i + r] + from, next[r], sizeof next[r]);
        }
}

/* A linear layer on y, by one weight for each `shared` bands, layer normalisation over the whole frame, added to x in
   place. */
static inline void linear_norm_add(const square *weight, int shared, const linear_norm *p, const row *y, row *x)
{
    const float share = 1.0f / (WIDTH * CHANNELS);
    network_frame linear;
    vec total = {0}, squares = {0};
    FOR_PAIRS(lane)
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS];
            start(2, acc, p->bias + lane, 8);
            dense(2, acc, weight[i / shared][lane / 8][0] + lane % 8, CHANNELS * 8, y[i], CHANNELS, CHANNELS);
            for (int o = 0; o < 2; o++) store_rows(linear[i] + 8 * o + lane, CHANNELS, acc[o]);
            for (int r = 0; r < ROWS; r++) total += acc[0][r] + acc[1][r];
        }
    float mean = sum(total) * share;
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            vec centred = load(linear[i] + lane) - mean;
            squares += centred * centred;
            store(linear[i] + lane, centred);
        }
    float gain = 1 / sqrtf(sum(squares) * share + 1e-8f);
    for (int i = 0; i < WIDTH; i++)
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            vec normed = load(linear[i] + lane) * gain * load(p->scale[i] + lane) + load(p->offset[i] + lane);
            store(x[i] + lane, load(x[i] + lane) + normed);
        }
}

static inline void dual_path_grnn(const dual_path *p, row *x, row *state)
{
    network_frame y;
    intra_gru(p, x, y);
    linear_norm_add(&p->intra_linear, WIDTH, &p->intra_norm, (const row *)y, x);
    inter_gru(p, (const row *)x, state);
    linear_norm_add(p->inter_linear, SHARED, &p->inter_norm, (const row *)state, x);
}
