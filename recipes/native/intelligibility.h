/* ESTOI of an output and its gradient; training/intelligibility.py defines it. In the transforms a lane is a frame, in
 * the segments a band: a frame's fifteen bands fill two vectors but for the last lane.
 */

enum { OCTAVES = 15, PAIR = 2, ROW = PAIR * LANES, SEGMENT = 30, SEGMENT_STEP = 3 };

typedef struct {
    int64_t hop, reach;         /* samples from frame to frame, bins below the end of the last band */
    const float *window, *bank; /* (FFT), (reach, OCTAVES) */
    float silence, floor;       /* power of a silent frame by the loudest's; added to bands, by the target's mean */
} octave_tables;

typedef struct {
    vec by_band[SEGMENT][PAIR], by_frame[SEGMENT][PAIR]; /* of norm 1 along the frames; along the bands, too */
    vec band[PAIR];                                      /* 1 / the norms */
    float frame[SEGMENT];
} segment;

INLINE int64_t octave_frames(const octave_tables *o, int64_t n) { return n < FFT ? 0 : 1 + (n - FFT) / o->hop; }
INLINE int64_t octave_groups(const octave_tables *o, int64_t n) { return (octave_frames(o, n) + LANES - 1) / LANES; }

/* Room that `intelligibility` wants, in floats. */
INLINE int64_t octave_floats(const octave_tables *o, int64_t n) { return octave_groups(o, n) * LANES * (3 * ROW + 1); }

/* Power in the bands of each frame, (frames, ROW); the lane behind the last band is 0. */
static void gather_octaves(const octave_tables *o, const float *x, int64_t n, float *bands)
{
    for (int64_t g = 0; g < octave_groups(o, n); g++) {
        bins s;
        vec power[ROW] = {{0}};
        analyse(x, n, g * LANES * o->hop, o->hop, o->window, &s);
        for (int64_t k = 0; k < o->reach; k++) {
            vec p = s.re[k] * s.re[k] + s.im[k] * s.im[k];
            for (int b = 0; b < OCTAVES; b++) power[b] += p * o->bank[k * OCTAVES + b];
        }
        for (int half = 0; half < PAIR; half++) {
            transpose(power + half * LANES);
            for (int t = 0; t < LANES; t++) store(bands + (g * LANES + t) * ROW + half * LANES, power[half * LANES + t]);
        }
    }
}

/* Add the gradient of the samples from that of the bands' powers. */
static void scatter_octaves(const octave_tables *o, const float *x, int64_t n, const float *d_bands, float *gradient)
{
    for (int64_t g = 0; g < octave_groups(o, n); g++) {
        bins s;
        vec d[ROW];
        for (int half = 0; half < PAIR; half++) {
            for (int t = 0; t < LANES; t++) d[half * LANES + t] = load(d_bands + (g * LANES + t) * ROW + half * LANES);
            transpose(d + half * LANES);
        }
        analyse(x, n, g * LANES * o->hop, o->hop, o->window, &s);
        for (int64_t k = 0; k < BINS; k++) {
            vec change = {0};
            for (int b = 0; k < o->reach && b < OCTAVES; b++) change += d[b] * (2 * o->bank[k * OCTAVES + b]);
            s.re[k] *= change, s.im[k] *= change;
        }
        analyse_backward(&s, gradient, n, g * LANES * o->hop, o->hop, o->window);
    }
}

/* Which frames of the target are not silent, in their order; how many. */
INLINE int64_t find_speech(const octave_tables *o, const float *target, int64_t frames, int32_t *place)
{
    float loudest = 0;
    int64_t count = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int64_t t = 0; t < frames; t++) {
            float power = total_of(load(target + t * ROW) + load(target + t * ROW + LANES));
            if (!pass) loudest = power > loudest ? power : loudest;
            else if (power > loudest * o->silence) place[count++] = t;
        }
    return count;
}

/* Powers become amplitudes, never below the root of the floor. */
INLINE void take_roots(float *bands, int64_t frames, float floor)
{
    for (int64_t i = 0; i < frames * ROW; i += LANES) store(bands + i, root(load(bands + i) + floor));
}

INLINE void take_segment(const float *amplitude, const int32_t *place, float floor, segment *s)
{
    const vec real[PAIR] = {spread(1), {1, 1, 1, 1, 1, 1, 1, 0}};
    for (int h = 0; h < PAIR; h++) {
        vec mean = {0}, square = {0};
        for (int t = 0; t < SEGMENT; t++) mean += load(amplitude + place[t] * ROW + h * LANES) / SEGMENT;
        for (int t = 0; t < SEGMENT; t++) {
            vec x = s->by_band[t][h] = load(amplitude + place[t] * ROW + h * LANES) - mean;
            square += x * x;
        }
        s->band[h] = real[h] / root(square + SEGMENT * floor);
        for (int t = 0; t < SEGMENT; t++) s->by_band[t][h] *= s->band[h];
    }
    for (int t = 0; t < SEGMENT; t++) {
        const vec *u = s->by_band[t];
        float mean = total_of(u[0] + u[1]) / OCTAVES;
        vec a = u[0] - mean, b = (u[1] - mean) * real[1];
        s->frame[t] = 1 / sqrtf(total_of(a * a + b * b) + FLT_MIN);
        s->by_frame[t][0] = a * s->frame[t], s->by_frame[t][1] = b * s->frame[t];
    }
}

/* The correlation of two segments; `weight` times its gradient of the second's amplitudes is added to `change`. */
INLINE float correlate(const segment *target, segment *s, const int32_t *place, float weight, float *change)
{
    const vec real = {1, 1, 1, 1, 1, 1, 1, 0};
    vec total = {0}, along[PAIR] = {{0}}, mean[PAIR] = {{0}};
    for (int t = 0; t < SEGMENT; t++) {
        const vec *a = target->by_frame[t], *v = s->by_frame[t];
        vec product = a[0] * v[0] + a[1] * v[1];
        float both = total_of(product), sum;
        total += product;
        vec d[PAIR] = {(a[0] - v[0] * both) * s->frame[t], (a[1] - v[1] * both) * s->frame[t]};
        sum = total_of(d[0] + d[1]) / OCTAVES;
        d[0] -= sum, d[1] = (d[1] - sum) * real;
        for (int h = 0; h < PAIR; h++) {
            along[h] += d[h] * s->by_band[t][h], mean[h] += d[h];
            s->by_frame[t][h] = d[h];
        }
    }
    for (int t = 0; t < SEGMENT; t++)
        for (int h = 0; h < PAIR; h++) {
            float *to = change + place[t] * ROW + h * LANES;
            vec d = s->by_frame[t][h] - mean[h] / SEGMENT - s->by_band[t][h] * along[h];
            store(to, load(to) + d * s->band[h] * (weight / SEGMENT));
        }
    return total_of(total) / SEGMENT;
}

/* 1 - ESTOI of an output of n samples, 0 where its target has less than a segment of speech; `weight` times its
 * gradient is added to `gradient`. */
static double intelligibility(const octave_tables *o, const float *enhanced, const float *clean, int64_t n,
                              float weight, float *gradient, float *room)
{
    int64_t frames = octave_frames(o, n), size = octave_groups(o, n) * LANES * ROW;
    float *wanted = room, *found = room + size, *change = room + 2 * size, value = 0;
    int32_t *place = (int32_t *)(room + 3 * size);
    gather_octaves(o, clean, n, wanted);
    int64_t segments = (find_speech(o, wanted, frames, place) - SEGMENT + SEGMENT_STEP) / SEGMENT_STEP;
    if (segments < 1) return 0;
    double power = 0;
    for (int64_t i = 0; i < frames * ROW; i += LANES) power += total_of(load(wanted + i));
    float floor = o->floor * power / (frames * OCTAVES) + FLT_MIN;
    gather_octaves(o, enhanced, n, found);
    take_roots(wanted, frames, floor), take_roots(found, frames, floor);
    memset(change, 0, size * sizeof *change);
    for (int64_t i = 0; i < segments; i++) {
        segment target, output;
        take_segment(wanted, place + i * SEGMENT_STEP, floor, &target);
        take_segment(found, place + i * SEGMENT_STEP, floor, &output);
        value += correlate(&target, &output, place + i * SEGMENT_STEP, -weight / segments, change);
    }
    for (int64_t i = 0; i < frames * ROW; i += LANES) store(change + i, load(change + i) * 0.5f / load(found + i));
    scatter_octaves(o, enhanced, n, change, gradient);
    return 1 - value / segments;
}
