/* 3 x 3 depthwise convolution of 16 channels, causal and dilated in time: frame t sees t - 2 d, t - d and t. */

enum { TAPS = 3 };

/* y[t][f] = bias + sum of w[i][j] x[t + (i - 2) d][f + j - 1]; `backward` looks ahead instead, bands mirrored. */
INLINE void depthwise_pass(const float *x, const float *w, const float *bias, float *y, int64_t frames, int bands,
                           int dilation, int backward)
{
    vec weight[TAPS][TAPS], b = bias ? load(bias) : spread(0);
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) weight[i][j] = load(w + (i * TAPS + (backward ? TAPS - 1 - j : j)) * LANES);
    for (int64_t t = 0; t < frames; t++)
        for (int f = 0; f < bands; f++) {
            vec acc = b;
            for (int i = 0; i < TAPS; i++) {
                int64_t s = backward ? t + (2 - i) * dilation : t - (2 - i) * dilation;
                if (s < 0 || s >= frames) continue;
                const float *row = x + (s * bands + f) * LANES;
                if (f > 0) acc += weight[i][0] * load(row - LANES);
                acc += weight[i][1] * load(row);
                if (f + 1 < bands) acc += weight[i][2] * load(row + LANES);
            }
            store(y + (t * bands + f) * LANES, acc);
        }
}

FAST void depthwise(const float *x, const float *w, const float *bias, float *y, int64_t batch, int64_t frames,
                    int64_t bands, int64_t dilation)
{
    for (int64_t b = 0, size = frames * bands * LANES; b < batch; b++)
        depthwise_pass(x + b * size, w, bias, y + b * size, frames, bands, dilation, 0);
}

INLINE void depthwise_weights(const float *x, const float *dy, vec dw[TAPS][TAPS], vec *db, int64_t frames, int bands,
                              int dilation)
{
    for (int64_t t = 0; t < frames; t++)
        for (int f = 0; f < bands; f++) {
            vec g = load(dy + (t * bands + f) * LANES);
            *db += g;
            for (int i = 0; i < TAPS; i++) {
                int64_t s = t - (2 - i) * dilation;
                if (s < 0) continue;
                const float *row = x + (s * bands + f) * LANES;
                if (f > 0) dw[i][0] += g * load(row - LANES);
                dw[i][1] += g * load(row);
                if (f + 1 < bands) dw[i][2] += g * load(row + LANES);
            }
        }
}

FAST void depthwise_backward(const float *x, const float *w, const float *dy, float *dx, float *dw, float *db,
                             int64_t batch, int64_t frames, int64_t bands, int64_t dilation)
{
    vec weights[TAPS][TAPS] = {{{0}}}, bias = {0};
    for (int64_t b = 0, size = frames * bands * LANES; b < batch; b++) {
        depthwise_pass(dy + b * size, w, 0, dx + b * size, frames, bands, dilation, 1);
        depthwise_weights(x + b * size, dy + b * size, weights, &bias, frames, bands, dilation);
    }
    memcpy(dw, weights, sizeof weights);
    store(db, bias);
}
