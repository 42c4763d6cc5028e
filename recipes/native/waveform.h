/* From noisy waveforms to the features of the bands, and from masks of the bands to waveforms: transforms, ERB bands
 * and mask, and the way back. network/model.py and training/enhance.py define them. Waveforms are whole hops.
 */

enum { LOW = 65, HIGH = 64, BANDS = LOW + HIGH, PARTS = 3, NEIGHBOURS = 3, FEATURES = PARTS * NEIGHBOURS };

typedef struct {
    int64_t items, samples, roots; /* how often the magnitudes of the features are rooted */
    const int64_t *band;           /* of each bin from LOW on: the first of the two high bands it is in */
    const float *share;            /* (BINS - LOW, 2), how much of it is in the one and in the next */
    bins *spectra;                 /* (items, eights of frames), of the noisy waveforms */
} waveforms;

typedef struct { const waveforms *w; const float *from; float *to; } waveform_work;

INLINE int64_t frames_of(const waveforms *w) { return 1 + w->samples / HALF; }
INLINE int64_t eights_of(const waveforms *w) { return (frames_of(w) + LANES - 1) / LANES; }
INLINE bins *spectra_of(const waveforms *w, int64_t item) { return w->spectra + item * eights_of(w); }

/* Eight frames of which each is a lane -> rows of `width` floats, as many as there are. `columns` are whole eights. */
INLINE void put_rows(const vec *columns, int64_t width, float *rows, int64_t count)
{
    for (int64_t i = 0; i < width; i += LANES) {
        vec r[LANES];
        memcpy(r, columns + i, sizeof r);
        transpose(r);
        for (int64_t t = 0; t < LANES && t < count; t++) store_some(rows + t * width + i, r[t], width - i);
    }
}

/* The opposite; lanes without a row are zeros. */
INLINE void take_rows(const float *rows, int64_t width, int64_t count, vec *columns)
{
    for (int64_t i = 0; i < width; i += LANES) {
        for (int64_t t = 0; t < LANES; t++)
            columns[i + t] = t < count ? load_some(rows + t * width + i, width - i) : spread(0);
        transpose(columns + i);
    }
}

/* Magnitude, real and imaginary part of a bin, the magnitude raised to 2^-roots. */
INLINE void compress_bin(const waveforms *w, vec re, vec im, vec part[PARTS])
{
    vec magnitude = root(re * re + im * im + 1e-12f), compressed = magnitude;
    for (int64_t i = 0; i < w->roots; i++) compressed = root(compressed);
    vec gain = compressed / magnitude;
    part[0] = compressed, part[1] = re * gain, part[2] = im * gain;
}

INLINE void gather_features(const waveforms *w, const bins *s, vec columns[BANDS * FEATURES + LANES])
{
    vec part[PARTS], bands[PARTS][BANDS + 2] = {{{0}}}; /* a band of zeros at each end */
    for (int64_t k = 0; k < LOW; k++) {
        compress_bin(w, s->re[k], s->im[k], part);
        for (int c = 0; c < PARTS; c++) bands[c][1 + k] = part[c];
    }
    for (int64_t k = LOW; k < BINS; k++) {
        int64_t to = 1 + LOW + w->band[k - LOW];
        const float *share = w->share + 2 * (k - LOW);
        compress_bin(w, s->re[k], s->im[k], part);
        for (int c = 0; c < PARTS; c++) bands[c][to] += part[c] * share[0], bands[c][to + 1] += part[c] * share[1];
    }
    for (int64_t b = 0; b < BANDS; b++)
        for (int i = 0; i < FEATURES; i++) columns[b * FEATURES + i] = bands[i / NEIGHBOURS][b + i % NEIGHBOURS];
}

static void prepare_item(void *what, int64_t item)
{
    const waveform_work *job = what;
    const waveforms *w = job->w;
    int64_t frames = frames_of(w), width = BANDS * FEATURES;
    vec columns[BANDS * FEATURES + LANES] = {{0}};
    for (int64_t t = 0; t < frames; t += LANES) {
        bins *s = spectra_of(w, item) + t / LANES;
        analyse(job->from + item * w->samples, w->samples, (t - 1) * HALF, HALF, circle.root_hann, s);
        gather_features(w, s, columns);
        put_rows(columns, width, job->to + (item * frames + t) * width, frames - t);
    }
}

INLINE void mask_bin(bins *y, const bins *s, int64_t k, vec re, vec im)
{
    y->re[k] = s->re[k] * re - s->im[k] * im;
    y->im[k] = s->im[k] * re + s->re[k] * im;
}

/* The noisy bins times the mask of their bands, (BANDS, 2). */
INLINE void mask_bins(const waveforms *w, const vec *bands, const bins *s, bins *y)
{
    for (int64_t k = 0; k < LOW; k++) mask_bin(y, s, k, bands[2 * k], bands[2 * k + 1]);
    for (int64_t k = LOW; k < BINS; k++) {
        const vec *from = bands + 2 * (LOW + w->band[k - LOW]);
        float a = w->share[2 * (k - LOW)], b = w->share[2 * (k - LOW) + 1];
        mask_bin(y, s, k, from[0] * a + from[2] * b, from[1] * a + from[3] * b);
    }
}

/* The gradient of the mask of a bin, `d` that of its product but for a factor: the bins between the ends stand for two. */
INLINE void unmask_bin(const bins *d, const bins *s, int64_t k, vec *re, vec *im)
{
    float scale = (k % HALF ? 2.0f : 1.0f) / FFT;
    *re = (s->re[k] * d->re[k] + s->im[k] * d->im[k]) * scale;
    *im = (s->re[k] * d->im[k] - s->im[k] * d->re[k]) * scale;
}

INLINE void mask_bins_backward(const waveforms *w, const bins *d, const bins *s, vec *bands)
{
    for (int64_t k = 0; k < LOW; k++) unmask_bin(d, s, k, bands + 2 * k, bands + 2 * k + 1);
    for (int64_t i = 0; i < HIGH; i++) bands[2 * (LOW + i)] = bands[2 * (LOW + i) + 1] = spread(0);
    for (int64_t k = LOW; k < BINS; k++) {
        vec *to = bands + 2 * (LOW + w->band[k - LOW]), re, im;
        float a = w->share[2 * (k - LOW)], b = w->share[2 * (k - LOW) + 1];
        unmask_bin(d, s, k, &re, &im);
        to[0] += re * a, to[1] += im * a, to[2] += re * b, to[3] += im * b;
    }
}

static void finish_item(void *what, int64_t item)
{
    const waveform_work *job = what;
    const waveforms *w = job->w;
    int64_t frames = frames_of(w);
    float *audio = job->to + item * w->samples;
    vec bands[2 * BANDS + LANES] = {{0}};
    memset(audio, 0, w->samples * sizeof *audio);
    for (int64_t t = 0; t < frames; t += LANES) {
        const bins *s = spectra_of(w, item) + t / LANES;
        bins y;
        take_rows(job->from + (item * frames + t) * 2 * BANDS, 2 * BANDS, frames - t, bands);
        mask_bins(w, bands, s, &y);
        overlap_add(&y, audio, w->samples, (t - 1) * HALF, HALF, circle.root_hann, 1.0f / FFT);
    }
}

/* The gradient of the masks of the bands from that of the waveform. */
static void finish_backward_item(void *what, int64_t item)
{
    const waveform_work *job = what;
    const waveforms *w = job->w;
    int64_t frames = frames_of(w);
    vec bands[2 * BANDS + LANES] = {{0}};
    for (int64_t t = 0; t < frames; t += LANES) {
        const bins *s = spectra_of(w, item) + t / LANES;
        bins d;
        analyse(job->from + item * w->samples, w->samples, (t - 1) * HALF, HALF, circle.root_hann, &d);
        mask_bins_backward(w, &d, s, bands);
        put_rows(bands, 2 * BANDS, job->to + (item * frames + t) * 2 * BANDS, frames - t);
    }
}

/* Bytes of the spectra. */
int64_t spectra_room(const waveforms *w) { return w->items * eights_of(w) * sizeof(bins); }

/* noisy (items, samples) -> features (items, frames, BANDS, FEATURES); the spectra stay for the other two. */
void prepare(const waveforms *w, const float *noisy, float *features)
{
    waveform_work job = {w, noisy, features};
    for_items(prepare_item, &job, w->items);
}

/* masks (items, frames, BANDS, 2) -> enhanced (items, samples) */
void finish(const waveforms *w, const float *masks, float *enhanced)
{
    waveform_work job = {w, masks, enhanced};
    for_items(finish_item, &job, w->items);
}

/* the gradient of `enhanced` -> that of `masks` */
void finish_backward(const waveforms *w, const float *d_enhanced, float *d_masks)
{
    waveform_work job = {w, d_enhanced, d_masks};
    for_items(finish_backward_item, &job, w->items);
}
