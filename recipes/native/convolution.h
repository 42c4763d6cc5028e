/* Convolutions along the bands of a frame, for outputs of LANE_COUNT channels; included once for each count.
 *
 * A tap (from, to, k) adds x[from] times the matrix w[k] to y[to]; a list of taps describes any stride, edge and
 * direction. Tensors are (frames, bands, channels); x may have gaps between its bands (`x_step` floats from one to the
 * next). Frames go by BLOCK, so that a row of weights is read once for all of them.
 */
#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define LANE JOIN(lane, LANE_COUNT)

typedef float LANE __attribute__((vector_size(4 * LANE_COUNT)));

INLINE void JOIN(convolve_block_, LANE_COUNT)(const conv *c, const float *x, const float *w, const float *bias,
                                              float *y, int frames)
{
    LANE b;
    memcpy(&b, bias, sizeof b);
    for (int first = 0; first < c->taps;) {
        int to = c->tap[first].to, end = first;
        LANE acc[BLOCK];
        for (int r = 0; r < frames; r++) acc[r] = b;
        for (; end < c->taps && c->tap[end].to == to; end++) {
            const float *row = w + (int64_t)c->tap[end].k * c->x_channels * LANE_COUNT;
            const float *from = x + (int64_t)c->tap[end].from * c->x_step;
            for (int i = 0; i < c->x_channels; i++) {
                LANE v;
                memcpy(&v, row + i * LANE_COUNT, sizeof v);
                for (int r = 0; r < frames; r++) acc[r] += v * from[r * c->x_frame + i];
            }
        }
        for (int r = 0; r < frames; r++) memcpy(y + r * c->y_frame + (int64_t)to * c->y_step, &acc[r], sizeof b);
        first = end;
    }
}

FAST void JOIN(convolve_, LANE_COUNT)(const conv *c, const float *x, const float *w, const float *bias, float *y)
{
    int64_t r = 0;
    for (; r + BLOCK <= c->frames; r += BLOCK)
        JOIN(convolve_block_, LANE_COUNT)(c, x + r * c->x_frame, w, bias, y + r * c->y_frame, BLOCK);
    for (; r < c->frames; r++)
        JOIN(convolve_block_, LANE_COUNT)(c, x + r * c->x_frame, w, bias, y + r * c->y_frame, 1);
}

/* The weights' gradient of `frames` frames, for COLUMNS input channels from column i. */
INLINE void JOIN(outer_columns_, LANE_COUNT)(const conv *c, const float *x, const float *y, float *w, int frames,
                                             int columns)
{
    for (int k = 0; k < c->width; k++) {
        LANE acc[BLOCK];
        float *row = w + (int64_t)k * c->x_channels * LANE_COUNT;
        memcpy(acc, row, columns * sizeof *acc);
        for (int t = 0; t < c->taps; t++) {
            if (c->tap[t].k != k) continue;
            const float *from = x + (int64_t)c->tap[t].from * c->x_step, *to = y + (int64_t)c->tap[t].to * c->y_step;
            for (int r = 0; r < frames; r++) {
                LANE v;
                memcpy(&v, to + r * c->y_frame, sizeof v);
                for (int i = 0; i < columns; i++) acc[i] += v * from[r * c->x_frame + i];
            }
        }
        memcpy(row, acc, columns * sizeof *acc);
    }
}

INLINE void JOIN(outer_frames_, LANE_COUNT)(const conv *c, const float *x, const float *y, float *w, int frames)
{
    int i = 0;
    for (; i + BLOCK <= c->x_channels; i += BLOCK)
        JOIN(outer_columns_, LANE_COUNT)(c, x + i, y, w + i * LANE_COUNT, frames, BLOCK);
    for (; i < c->x_channels; i++) JOIN(outer_columns_, LANE_COUNT)(c, x + i, y, w + i * LANE_COUNT, frames, 1);
}

/* Add to w (width, x_channels, LANE_COUNT) its gradient: over all frames, x[from] times y[to]. */
FAST void JOIN(outer_, LANE_COUNT)(const conv *c, const float *x, const float *y, float *w)
{
    int64_t r = 0;
    for (; r + BLOCK <= c->frames; r += BLOCK)
        JOIN(outer_frames_, LANE_COUNT)(c, x + r * c->x_frame, y + r * c->y_frame, w, BLOCK);
    for (; r < c->frames; r++) JOIN(outer_frames_, LANE_COUNT)(c, x + r * c->x_frame, y + r * c->y_frame, w, 1);
}

#undef LANE
#undef JOIN
#undef JOIN_
#undef LANE_COUNT
