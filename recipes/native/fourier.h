/* Fourier transforms of 512 real samples, eight frames at a time: a lane is a frame, so nothing crosses lanes. */

enum { FFT = 512, HALF = FFT / 2, BINS = HALF + 1 };

typedef struct { vec re[BINS], im[BINS]; } bins;

/* The circle and the windows, filled in as the library is loaded. */
static struct { float cosine[FFT], sine[FFT], hann[FFT], root_hann[FFT]; } circle;

__attribute__((constructor)) static void draw_circle(void)
{
    for (int i = 0; i < FFT; i++) {
        double angle = 2 * 3.14159265358979323846 * i / FFT;
        circle.cosine[i] = cos(angle), circle.sine[i] = sin(angle);
        circle.hann[i] = 0.5 - 0.5 * cos(angle), circle.root_hann[i] = sin(angle / 2);
    }
}

INLINE void turn(vec re, vec im, int angle, vec *to_re, vec *to_im)
{
    float c = circle.cosine[angle], s = circle.sine[angle];
    *to_re = angle ? re * c + im * s : re, *to_im = angle ? im * c - re * s : im;
}

/* One pass of Stockham's transform by fours: `m` transforms of length 4 l become 4 m of length l. */
INLINE void by_fours(const vec *a, const vec *b, vec *x, vec *y, int l, int m)
{
    for (int j = 0; j < l; j++)
        for (int k = 0; k < m; k++) {
            int i = j * m + k, n = l * m, o = 4 * j * m + k, angle = j * m * (FFT / HALF);
            vec s = a[i] + a[i + 2 * n], d = a[i] - a[i + 2 * n], t = a[i + n] + a[i + 3 * n], e = a[i + n] - a[i + 3 * n];
            vec p = b[i] + b[i + 2 * n], q = b[i] - b[i + 2 * n], r = b[i + n] + b[i + 3 * n], f = b[i + n] - b[i + 3 * n];
            x[o] = s + t, y[o] = p + r;
            turn(d + f, q - e, angle, x + o + m, y + o + m);
            turn(s - t, p - r, 2 * angle, x + o + 2 * m, y + o + 2 * m);
            turn(d - f, q + e, 3 * angle, x + o + 3 * m, y + o + 3 * m);
        }
}

/* Of HALF complex numbers, in place; with the parts exchanged it is the inverse, times HALF. */
INLINE void complex_transform(vec *re, vec *im)
{
    vec x[HALF], y[HALF];
    by_fours(re, im, x, y, 64, 1);
    by_fours(x, y, re, im, 16, 4);
    by_fours(re, im, x, y, 4, 16);
    by_fours(x, y, re, im, 1, 64);
}

/* Even samples in `re`, odd ones in `im` -> the bins of all. */
INLINE void real_transform(bins *s)
{
    complex_transform(s->re, s->im);
    s->re[HALF] = s->re[0], s->im[HALF] = s->im[0];
    for (int k = 0; k <= HALF / 2; k++) {
        int o = HALF - k;
        vec a = (s->re[k] + s->re[o]) * 0.5f, b = (s->im[k] - s->im[o]) * 0.5f;
        vec c = (s->im[k] + s->im[o]) * 0.5f, d = (s->re[o] - s->re[k]) * 0.5f, x, y;
        turn(c, d, k, &x, &y);
        s->re[k] = a + x, s->im[k] = b + y;
        s->re[o] = a - x, s->im[o] = y - b;
    }
}

/* The opposite, times FFT: bins -> even samples in `re`, odd ones in `im`. The imaginary parts of the first and last
 * bin do not count. */
INLINE void inverse_transform(bins *s)
{
    s->im[0] = s->im[HALF] = spread(0);
    for (int k = 0; k <= HALF / 2; k++) {
        int o = HALF - k;
        vec a = s->re[k] + s->re[o], b = s->im[k] - s->im[o], x, y;
        turn(s->im[k] + s->im[o], s->re[k] - s->re[o], k, &x, &y); /* conjugate of the turned difference, exchanged */
        s->re[k] = a - x, s->im[k] = b + y;
        s->re[o] = a + x, s->im[o] = y - b;
    }
    complex_transform(s->im, s->re);
}

/* Eight rows of eight: lane i of row j and lane j of row i change places. */
INLINE void transpose(vec r[LANES])
{
    for (int round = 0; round < 3; round++) {
        vec t[LANES];
        for (int i = 0; i < LANES / 2; i++) {
            t[2 * i] = SHUFFLE(r[i], r[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
            t[2 * i + 1] = SHUFFLE(r[i], r[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
        }
        memcpy(r, t, sizeof t);
    }
}

/* Eight samples from `at` on, zeros before the first and behind the last of `samples`. */
INLINE vec peek(const float *x, int64_t samples, int64_t at)
{
    if (at >= 0 && at + LANES <= samples) return load(x + at);
    vec v = {0};
    for (int k = 0; k < LANES; k++)
        if (at + k >= 0 && at + k < samples) v[k] = x[at + k];
    return v;
}

INLINE void add_to(float *x, int64_t samples, int64_t at, vec v)
{
    if (at >= 0 && at + LANES <= samples) {
        store(x + at, load(x + at) + v);
        return;
    }
    for (int k = 0; k < LANES; k++)
        if (at + k >= 0 && at + k < samples) x[at + k] += v[k];
}

/* Windowed bins of eight frames, which begin at sample `start` and every `hop` after. */
static void analyse(const float *x, int64_t samples, int64_t start, int64_t hop, const float *window, bins *s)
{
    for (int i = 0; i < FFT; i += LANES) {
        vec r[LANES];
        for (int k = 0; k < LANES; k++) r[k] = peek(x, samples, start + k * hop + i);
        transpose(r);
        for (int k = 0; k < LANES; k += 2) {
            s->re[(i + k) / 2] = r[k] * window[i + k];
            s->im[(i + k) / 2] = r[k + 1] * window[i + k + 1];
        }
    }
    real_transform(s);
}

/* Add `scale` times the windowed inverse of eight frames where `analyse` took them from. */
static void overlap_add(bins *s, float *x, int64_t samples, int64_t start, int64_t hop, const float *window,
                        float scale)
{
    inverse_transform(s);
    for (int i = 0; i < FFT; i += LANES) {
        vec r[LANES];
        for (int k = 0; k < LANES; k += 2) {
            r[k] = s->re[(i + k) / 2] * (window[i + k] * scale);
            r[k + 1] = s->im[(i + k) / 2] * (window[i + k + 1] * scale);
        }
        transpose(r);
        for (int k = 0; k < LANES; k++) add_to(x, samples, start + k * hop + i, r[k]);
    }
}

/* The gradient of the samples, from that of the bins, is the inverse with both ends doubled, halved. */
INLINE void analyse_backward(bins *s, float *dx, int64_t samples, int64_t start, int64_t hop, const float *window)
{
    s->re[0] *= 2, s->re[HALF] *= 2;
    overlap_add(s, dx, samples, start, hop, window, 0.5f);
}

/* 1 in the lanes of the frames from `first` on that are among `frames`. */
INLINE vec among(int64_t first, int64_t frames)
{
    vec v = {0};
    for (int k = 0; k < LANES; k++) v[k] = first + k < frames;
    return v;
}
