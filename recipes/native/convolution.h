/* Convolutions along the bands of a frame.
 *
 * A tap (from, to, k) adds x[from] times the matrix w[k] to y[to]; a list of taps describes any stride, edge and
 * direction. Tensors are (items, frames, bands, channels); x may have gaps between its bands (`x_step` floats from one
 * to the next). Outputs go by blocks of 8: block o takes `inputs` channels from `first[o]` on, which is what groups
 * are. Frames go by ROWS, so that a row of weights is read once for all of them.
 */
typedef struct { int from, to, k; } tap;

typedef struct {
    int64_t items, frames;             /* frames of an item */
    int64_t x_frame, y_frame;          /* floats from one frame to the next */
    int64_t x_step, y_step;            /* floats from one band to the next */
    int64_t inputs, outputs, width, taps;
    const tap *tap; /* ordered by `to`; for `outer` by `k` */
    const int64_t *first;
} conv;

enum { ROWS = 6, COLUMNS = 4, CACHED = 8 }; /* frames of a tensor that stay in the nearest cache */

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
    int64_t t = 0;
    for (; t + ROWS <= c->frames; t += ROWS)
        convolve_rows(c, x + t * c->x_frame, w, bias, y + t * c->y_frame, ROWS, blocks, inputs, lanes);
    for (; t < c->frames; t++)
        convolve_rows(c, x + t * c->x_frame, w, bias, y + t * c->y_frame, 1, blocks, inputs, lanes);
}

/* Trip counts that the compiler sees, for the numbers of channels that come often. */
INLINE void convolve_blocks(const conv *c, const float *x, const float *w, const float *bias, float *y, int blocks,
                            int64_t lanes)
{
    if (c->inputs == 8) convolve_frames(c, x, w, bias, y, blocks, 8, lanes);
    else if (c->inputs == 16) convolve_frames(c, x, w, bias, y, blocks, 16, lanes);
    else convolve_frames(c, x, w, bias, y, blocks, c->inputs, lanes);
}

FAST static void convolve_item(void *what, int64_t item)
{
    const conv_work *job = what;
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

/* x (items, frames, bands, channels), w (blocks, width, inputs, 8), bias (outputs) or none -> y (..., outputs). */
void convolve(const conv *c, const float *x, const float *w, const float *bias, float *y)
{
    conv_work job = {c, x, w, bias, y};
    for_items(convolve_item, &job, c->items);
}

/* Add the gradient of a matrix over `frames` frames and its taps: `columns` input channels, one or two blocks of
 * outputs. */
INLINE void outer_columns(const conv *c, const float *x, const float *y, float *w, const tap *first, const tap *end,
                          int64_t frames, int blocks, int columns)
{
    vec acc[2][COLUMNS];
    int64_t block = c->width * c->inputs * LANES;
    for (int o = 0; o < blocks; o++)
        for (int i = 0; i < columns; i++) acc[o][i] = load(w + o * block + i * LANES);
    for (const tap *t = first; t < end; t++) {
        const float *from = x + t->from * c->x_step, *to = y + t->to * c->y_step;
        for (int64_t r = 0; r < frames; r++)
            for (int o = 0; o < blocks; o++) {
                vec v = load(to + r * c->y_frame + o * LANES);
                for (int i = 0; i < columns; i++) acc[o][i] += v * from[r * c->x_frame + i];
            }
    }
    for (int o = 0; o < blocks; o++)
        for (int i = 0; i < columns; i++) store(w + o * block + i * LANES, acc[o][i]);
}

INLINE void outer_blocks(const conv *c, const float *x, const float *y, float *w, int64_t frames, int blocks)
{
    for (const tap *first = c->tap, *end = first, *last = first + c->taps; first < last; first = end) {
        float *row = w + first->k * c->inputs * LANES;
        while (end < last && end->k == first->k) end++;
        int64_t i = 0;
        for (; i + COLUMNS <= c->inputs; i += COLUMNS)
            outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, COLUMNS);
        for (; i < c->inputs; i++) outer_columns(c, x + i, y, row + i * LANES, first, end, frames, blocks, 1);
    }
}

INLINE void outer_frames(const conv *c, const float *x, const float *y, float *total, int64_t frames)
{
    int64_t size = c->width * c->inputs * LANES, blocks = c->outputs / LANES;
    for (int64_t o = 0, n; o < blocks; o += n) {
        n = o + 1 < blocks && c->first[o] == c->first[o + 1] ? 2 : 1;
        if (n == 2) outer_blocks(c, x + c->first[o], y + o * LANES, total + o * size, frames, 2);
        else outer_blocks(c, x + c->first[o], y + o * LANES, total + o * size, frames, 1);
    }
}

FAST static void outer_item(void *what, int64_t item)
{
    const conv_work *job = what;
    const conv *c = job->c;
    const float *x = job->x + item * c->frames * c->x_frame, *y = job->w + item * c->frames * c->y_frame;
    int64_t size = c->width * c->inputs * c->outputs, step = c->taps > 1 ? CACHED : CACHED * 16;
    float *total = job->y + item * size;
    memset(total, 0, size * sizeof *total);
    for (int64_t t = 0; t < c->frames; t += step) {
        int64_t left = c->frames - t;
        outer_frames(c, x + t * c->x_frame, y + t * c->y_frame, total, left < step ? left : step);
    }
}

/* Over all frames and taps, x[from] times y[to]: (items, blocks, width, inputs, 8). */
void outer(const conv *c, const float *x, const float *y, float *total)
{
    conv_work job = {c, x, y, 0, total};
    for_items(outer_item, &job, c->items);
}

typedef struct { const float *x; int64_t positions, step, channels; float *total; } column_work;

FAST static void column_item(void *what, int64_t item)
{
    const column_work *job = what;
    const float *x = job->x + item * job->positions * job->step;
    for (int64_t c = 0; c < job->channels; c += LANES) {
        int64_t left = job->channels - c;
        vec even = {0}, odd = {0};
        for (int64_t i = 0; i < job->positions; i++) {
            const float *p = x + i * job->step + c;
            vec v = left < LANES ? load_some(p, left) : load(p);
            if (i & 1) odd += v;
            else even += v;
        }
        store_some(job->total + item * job->channels + c, even + odd, left);
    }
}

/* Sum over the positions of each item, `step` floats apart: (items, channels). */
void column_sums(const float *x, int64_t items, int64_t positions, int64_t step, int64_t channels, float *total)
{
    column_work job = {x, positions, step, channels, total};
    for_items(column_item, &job, items);
}
