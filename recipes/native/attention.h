/* Temporal attention's ends: energy of the channels in a frame; their weighting, and the shuffle with as many others.
 * Channels are a multiple of eight.
 */

typedef struct {
    int64_t frames, bands, channels, step; /* floats from one band of `passed` to the next */
} frame_shape;

typedef struct { const frame_shape *s; const float *x, *weight, *passed; float *y, *dx, *d_passed; } attention_work;

/* x (items, frames, bands, channels) -> mean square over the bands (items, frames, channels). */
static void energy_item(const attention_work *job, int64_t item)
{
    const frame_shape *s = job->s;
    for (int64_t t = item * s->frames; t < (item + 1) * s->frames; t++)
        for (int64_t c = 0; c < s->channels; c += LANES) {
            vec total = {0};
            for (int64_t f = 0; f < s->bands; f++) {
                vec v = load(job->x + (t * s->bands + f) * s->channels + c);
                total += v * v;
            }
            store(job->y + t * s->channels + c, total / (float)s->bands);
        }
}

/* Adds the gradient of `energy`, given dy like its result, to dx. */
static void energy_backward_item(const attention_work *job, int64_t item)
{
    const frame_shape *s = job->s;
    for (int64_t t = item * s->frames; t < (item + 1) * s->frames; t++)
        for (int64_t c = 0; c < s->channels; c += LANES) {
            vec d = load(job->weight + t * s->channels + c) * (2 / (float)s->bands);
            for (int64_t i = t * s->bands * s->channels + c; i < (t + 1) * s->bands * s->channels; i += s->channels)
                store(job->dx + i, load(job->dx + i) + d * load(job->x + i));
        }
}

/* x (items, frames, bands, channels) times weight (items, frames, channels), alternating with `passed`. */
static void shuffle_item(const attention_work *job, int64_t item)
{
    const frame_shape *s = job->s;
    for (int64_t t = item * s->frames; t < (item + 1) * s->frames; t++)
        for (int64_t c = 0; c < s->channels; c += LANES) {
            vec w = load(job->weight + t * s->channels + c);
            for (int64_t i = t * s->bands; i < (t + 1) * s->bands; i++) {
                vec a = load(job->x + i * s->channels + c) * w, b = load(job->passed + i * s->step + c);
                float *y = job->y + 2 * (i * s->channels + c);
                store(y, SHUFFLE(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
                store(y + LANES, SHUFFLE(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
            }
        }
}

static void shuffle_backward_item(const attention_work *job, int64_t item)
{
    const frame_shape *s = job->s;
    for (int64_t t = item * s->frames; t < (item + 1) * s->frames; t++)
        for (int64_t c = 0; c < s->channels; c += LANES) {
            vec w = load(job->weight + t * s->channels + c), total = {0};
            for (int64_t i = t * s->bands; i < (t + 1) * s->bands; i++) {
                const float *dy = job->passed + 2 * (i * s->channels + c);
                vec low = load(dy), high = load(dy + LANES);
                vec a = SHUFFLE(low, high, 0, 2, 4, 6, 8, 10, 12, 14), b = SHUFFLE(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
                total += a * load(job->x + i * s->channels + c);
                store(job->dx + i * s->channels + c, a * w);
                store(job->d_passed + i * s->step + c, b);
            }
            store(job->y + t * s->channels + c, total);
        }
}
