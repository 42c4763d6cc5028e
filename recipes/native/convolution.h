/* Convolutions along the bands of a frame.
 *
 * A tap (from, to, k) adds x[from] times the matrix w[k] to y[to]; a list of taps describes any stride, edge and
 * direction. Tensors are (items, frames, bands, channels); x may have gaps between its bands (`x_step` floats from one
 * to the next). Outputs go by blocks of 8: block o takes `inputs` channels from `first[o]` on, which is what groups
 * are. Frames go by ROWS, so that a row of weights is read once for all of them.
 */
typedef struct { int from, to, k; } tap;

typedef struct {
    int64_t frames;                    /* of an item */
    int64_t x_frame, y_frame;          /* floats from one frame to the next */
    int64_t x_step, y_step;            /* floats from one band to the next */
    int64_t inputs, outputs, width, taps;
    const tap *tap; /* ordered by `to`; for `outer` by `k` */
    const int64_t *first;
} conv;

enum { ROWS = 12, COLUMNS = 9 };
enum { CACHED = 4096, LEAST = 8 }; /* floats of two tensors' frames that stay in the nearest cache; frames at least */

/* x (items, frames, bands, channels), w (blocks, width, inputs, 8), bias (outputs) or none -> y (..., outputs). */
typedef struct { const conv *c; const float *x, *w, *bias; float *y; } conv_work;

INLINE void convolve_rows(const conv *c, const float *x, const float *w, const float *bias, float *y, int rows,
                          int blocks, int64_t inputs, int64_t lanes)
{
    int64_t block = c->width * inputs * LANES; /* floats of a block's weights */
    for (int64_t first = 0; first < c->taps;) {
        int64_t to = c->tap[first].to, end = first;
        vec acc[2][ROWS];
        for (int o = 0; o < blocks; o++)
            for (int r = 0; r < rows; r++) acc[o][r] = bias ? load_some(bias + o * LANES, lanes) : spread(0);
        for (; end < c->taps && c->tap[end].to == to; end++) {
            const float *row = w + c->tap[end].k * inputs * LANES, *from = x + c->tap[end].from * c->x_step;
            for (int64_t i = 0; i < inputs; i++)
                for (int r = 0; r < rows; r++)
                    for (int o = 0; o < blocks; o++)
                        acc[o][r] += load(row + o * block + i * LANES) * from[r * c->x_frame + i];
        }
        for (int o = 0; o < blocks; o++)
            for (int r = 0; r < rows; r++) {
                float *place = y + r * c->y_frame + to * c->y_step + o * LANES;
                if (lanes < LANES) store_some(place, acc[o][r], lanes);
                else store(place, acc[o][r]);
            }
        first = end;
    }
}

INLINE void convolve_frames(const conv *c, const float *x, const float *w, const float *bias, float *y, int blocks,
                            int64_t inputs, int64_t lanes)
{
    for (int64_t t = 0, n; t < c->frames; t += n) {
        const float *from = x + t * c->x_frame;
        float *to = y + t * c->y_frame;
        int64_t left = c->frames - t;
        n = left >= ROWS && blocks == 1 ? ROWS : left >= ROWS / 2 ? ROWS / 2 : 1;
        if (n == ROWS && blocks == 1) convolve_rows(c, from, w, bias, to, ROWS, 1, inputs, lanes);
        else if (n > 1) convolve_rows(c, from, w, bias, to, ROWS / 2, blocks, inputs, lanes);
        else convolve_rows(c, from, w, bias, to, 1, blocks, inputs, lanes);
    }
}

/* Trip counts that the compiler sees, for the numbers of channels that come often. */
INLINE void convolve_blocks(const conv *c, const float *x, const float *w, const float *bias, float *y, int blocks,
                            int64_t lanes)
{
    if (c->inputs == 8) convolve_frames(c, x, w, bias, y, blocks, 8, lanes);
    else if (c->inputs == 16) convolve_frames(c, x, w, bias, y, blocks, 16, lanes);
    else convolve_frames(c, x, w, bias, y, blocks, c->inputs, lanes);
}

static void convolve_item(const conv_work *job, int64_t item)
{
    const conv *c = job->c;
    const float *x = job->x + item * c->frames * c->x_frame;
    float *y = job->y + item * c->frames * c->y_frame;
    int64_t size = c->width * c->inputs * LANES;
    for (int64_t o = 0, n; o * LANES < c->outputs; o += n) {
        const float *w = job->w + o * size, *bias = job->bias ? job->bias + o * LANES : 0, *from = x + c->first[o];
        int64_t left = c->outputs - o * LANES;
        n = left >= 2 * LANES && c->first[o] == c->first[o + 1] ? 2 : 1;
        if (n == 2) convolve_blocks(c, from, w, bias, y + o * LANES, 2, LANES);
        else if (left >= LANES) convolve_blocks(c, from, w, bias, y + o * LANES, 1, LANES);
        else convolve_blocks(c, from, w, bias, y + o * LANES, 1, left);
    }
}

INLINE void convolve_two_rows(const conv *c, const float *x, const float *w, const float *bias, float *y, int rows)
{
    for (int64_t first = 0; first < c->taps;) {
        int64_t to = c->tap[first].to, end = first;
        vec acc[LANES] = {{0}};
        for (; end < c->taps && c->tap[end].to == to; end++) {
            const float *row = w + 2 * c->tap[end].k * c->inputs, *from = x + c->tap[end].from * c->x_step;
            for (int64_t i = 0; i < c->inputs; i += LANES)
                for (int r = 0; r < rows; r++) {
                    vec v = load(from + r * c->x_frame + i);
                    acc[2 * r] += v * load(row + i), acc[2 * r + 1] += v * load(row + c->inputs + i);
                }
        }
        vec total = totals_of(acc);
        for (int r = 0; r < rows; r++)
            for (int o = 0; o < 2; o++) y[r * c->y_frame + to * c->y_step + o] = total[2 * r + o] + bias[o];
        first = end;
    }
}

/* To two outputs, from a multiple of 8 inputs, which take the lanes: w (width, 2, inputs). */
static void convolve_two_item(const conv_work *job, int64_t item)
{
    const conv *c = job->c;
    const float *x = job->x + item * c->frames * c->x_frame;
    float *y = job->y + item * c->frames * c->y_frame;
    for (int64_t t = 0, n; t < c->frames; t += n) {
        n = t + LANES / 2 <= c->frames ? LANES / 2 : 1;
        if (n > 1) convolve_two_rows(c, x + t * c->x_frame, job->w, job->bias, y + t * c->y_frame, LANES / 2);
        else convolve_two_rows(c, x + t * c->x_frame, job->w, job->bias, y + t * c->y_frame, 1);
    }
}

/* Over all frames and taps, x[from] times y[to]: total (items, blocks, width, inputs, 8). Where `sums` is given, the sum
 * of each channel of y, or of x, too: (items, channels). */
typedef struct { const conv *c; const float *x, *y; float *total, *sums; int64_t of_x; } outer_work;

/* Add the gradient of a matrix over `frames` frames and its taps: `columns` input channels, one or two blocks of
 * outputs, the second's inputs `apart` from the first's. */
INLINE void outer_columns(const conv *c, const float *x, const float *y, float *w, const tap *first, const tap *end,
                          int64_t frames, int blocks, int64_t apart, int columns)
{
    vec acc[2][COLUMNS];
    int64_t block = c->width * c->inputs * LANES;
    for (int o = 0; o < blocks; o++)
        for (int i = 0; i < columns; i++) acc[o][i] = load(w + o * block + i * LANES);
    for (const tap *t = first; t < end; t++) {
        const float *from = x + t->from * c->x_step, *to = y + t->to * c->y_step;
        for (int64_t r = 0; r < frames; r++, from += c->x_frame, to += c->y_frame)
            for (int i = 0; i < columns; i++)
                for (int o = 0; o < blocks; o++) acc[o][i] += load(to + o * LANES) * from[o * apart + i];
    }
    for (int o = 0; o < blocks; o++)
        for (int i = 0; i < columns; i++) store(w + o * block + i * LANES, acc[o][i]);
}

INLINE void outer_blocks(const conv *c, const float *x, const float *y, float *w, int64_t frames, int blocks,
                         int64_t apart)
{
    for (const tap *first = c->tap, *end = first, *last = first + c->taps; first < last; first = end) {
        float *row = w + first->k * c->inputs * LANES;
        while (end < last && end->k == first->k) end++;
        for (int64_t i = 0, n; i < c->inputs; i += n) {
            int64_t left = c->inputs - i;
            n = left == COLUMNS ? COLUMNS : left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            if (n == COLUMNS) outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, apart, COLUMNS);
            else if (n == 8) outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, apart, 8);
            else if (n == 4) outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, apart, 4);
            else if (n == 2) outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, apart, 2);
            else outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, apart, 1);
        }
    }
}

INLINE void outer_frames(const conv *c, const float *x, const float *y, float *total, int64_t frames)
{
    int64_t size = c->width * c->inputs * LANES, blocks = c->outputs / LANES;
    for (int64_t o = 0, n; o < blocks; o += n) {
        const float *from = x + c->first[o], *to = y + o * LANES;
        int64_t apart = o + 1 < blocks ? c->first[o + 1] - c->first[o] : 0;
        n = o + 1 < blocks ? 2 : 1;
        if (n == 1) outer_blocks(c, from, to, total + o * size, frames, 1, 0);
        else if (apart) outer_blocks(c, from, to, total + o * size, frames, 2, apart);
        else outer_blocks(c, from, to, total + o * size, frames, 2, 0);
    }
}

/* Add the sum of each channel over `positions` to sums. */
INLINE void column_sums(const float *x, int64_t positions, int64_t step, int64_t channels, float *sums)
{
    for (int64_t c = 0; c < channels; c += LANES) {
        int64_t left = channels - c;
        vec acc[4] = {load_some(sums + c, left)};
        int64_t i = 0;
        for (; left >= LANES && i + 4 <= positions; i += 4)
            for (int k = 0; k < 4; k++) acc[k] += load(x + (i + k) * step + c);
        for (; i < positions; i++) acc[0] += load_some(x + i * step + c, left);
        store_some(sums + c, (acc[0] + acc[1]) + (acc[2] + acc[3]), left);
    }
}

static void outer_item(const outer_work *job, int64_t item)
{
    const conv *c = job->c;
    const float *x = job->x + item * c->frames * c->x_frame, *y = job->y + item * c->frames * c->y_frame;
    int64_t size = c->width * c->inputs * c->outputs, step = CACHED / (c->x_frame + c->y_frame);
    int64_t channels = job->of_x ? c->inputs : c->outputs;
    float *total = job->total + item * size, *sums = job->sums ? job->sums + item * channels : 0;
    memset(total, 0, size * sizeof *total);
    if (sums) memset(sums, 0, channels * sizeof *sums);
    step = step < LEAST ? LEAST : step;
    for (int64_t t = 0; t < c->frames; t += step, x += step * c->x_frame, y += step * c->y_frame) {
        int64_t left = c->frames - t, n = left < step ? left : step;
        outer_frames(c, x, y, total, n);
        if (sums && job->of_x) column_sums(x, n * (c->x_frame / c->x_step), c->x_step, channels, sums);
        else if (sums) column_sums(y, n * (c->y_frame / c->y_step), c->y_step, channels, sums);
    }
}
