/* The dual-path recurrence: along the bands of a frame, then along the frames of a band. */
#include "dense.h"

/* What the input adds to the gates, for every band, in blocks of four forward and four backward units. */
static inline void intra_gates(const dual_path *p, const row *x, float (*gates)[3][WIDTH][8])
{
    for (int lane = 0; lane < CHANNELS; lane += LANES) {
        int g = lane / 8, at = lane % 8;
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[3][ROWS];
            start(3, acc, p->intra_bias[g][1] + at, 8);
            dense(3, acc, p->intra_input[g][0][0] + at, 8 * 8, x[i] + 8 * g, CHANNELS, 8);
            for (int k = 0; k < 3; k++) store_rows(gates[g][k][i] + at, 8, acc[k]);
        }
    }
}

/* Lanes of a block [8] for forward units from one band, for backward units from another. */
static inline vec both_ways(const float *forward, const float *backward, int lane)
{
#if LANES == 8
    return FRONT_BACK(load(forward + lane), load(backward + lane));
#else
    return load((lane % 8 ? backward : forward) + lane);
#endif
}

/* One step of a vector of units, each cell's four on their own four. */
static inline vec intra_step(const dual_path *p, float (*gates)[3][WIDTH][8], vec h, int lane, int i, int j)
{
    int g = lane / 8, at = lane % 8;
    vec sums[4] = {load(p->intra_bias[g][0] + at)};
    const vec u[4] = {REPEAT(h, 0), REPEAT(h, 1), REPEAT(h, 2), REPEAT(h, 3)};
    for (int k = 0; k < 3; k++) sums[k + 1] = both_ways(gates[g][k][i], gates[g][k][j], at);
    for (int c = 0; c < 4; c++)
        for (int k = 0; k < 3; k++) sums[k] += load(p->intra_state[g][k][c] + at) * u[c];
    return gru(sums, h);
}

/* Along the bands, both groups and directions at once: x [33][16] to y [33][16]. */
static inline void intra_gru(const dual_path *p, const row *x, row *y)
{
    float gates[2][3][WIDTH][8];
    vec h[CHANNELS / LANES] = {{0}};
    row step;
    intra_gates(p, x, gates);
    for (int i = 0; i < WIDTH; i++) {
        int j = WIDTH - 1 - i; /* where the backward units are */
        for (int lane = 0; lane < CHANNELS; lane += LANES) {
            h[lane / LANES] = intra_step(p, gates, h[lane / LANES], lane, i, j);
            store(step + lane, h[lane / LANES]);
        }
        for (int part = 0; part < CHANNELS; part += 4) memcpy(y[part % 8 ? j : i] + part, step + part, 4 * sizeof(float));
    }
}

/* Every band one step in time: x [33][16], its states h [33][16]. */
static inline void inter_gru(const dual_path *p, const row *x, row *h)
{
    for (int g = 0; g < 2; g++)
        for (int i = 0; i < WIDTH; i += ROWS) {
            float next[ROWS][8];
            for (int lane = 0; lane < 8; lane += LANES) {
                vec acc[4][ROWS];
                start(4, acc, p->inter_bias[g][0] + lane, 8);
                dense(3, acc, p->inter_state[g][0][0] + lane, 8 * 8, h[i] + 8 * g, CHANNELS, 8);
                dense(3, acc + 1, p->inter_input[g][0][0] + lane, 8 * 8, x[i] + 8 * g, CHANNELS, 8);
                for (int r = 0; r < ROWS; r++) {
                    const vec sums[4] = {acc[0][r], acc[1][r], acc[2][r], acc[3][r]};
                    store(next[r] + lane, gru(sums, load(h[i + r] + 8 * g + lane)));
                }
            }
            for (int r = 0; r < ROWS; r++) memcpy(h[i + r] + 8 * g, next[r], 8 * sizeof(float));
        }
}

/* A linear layer on y, layer normalisation over the whole frame, added to x in place. */
static inline void linear_norm_add(const linear_norm *p, const row *y, row *x)
{
    const float share = 1.0f / (WIDTH * CHANNELS);
    gtcrn_frame linear;
    vec total = {0}, squares = {0};
    for (int lane = 0; lane < 8; lane += LANES)
        for (int i = 0; i < WIDTH; i += ROWS) {
            vec acc[2][ROWS];
            start(2, acc, p->bias + lane, 8);
            dense(2, acc, p->weight[0][0] + lane, CHANNELS * 8, y[i], CHANNELS, CHANNELS);
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
    gtcrn_frame y;
    intra_gru(p, x, y);
    linear_norm_add(&p->intra_linear, (const row *)y, x);
    inter_gru(p, (const row *)x, state);
    linear_norm_add(&p->inter_linear, (const row *)state, x);
}
