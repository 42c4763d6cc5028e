/* The short-time Fourier transform and its inverse: 512 real samples as 256 complex ones, those as a square of 16 x 16.

   The numpy twin is tests/spectral.py. Real and imaginary parts lie in arrays of their own. */
#ifndef GTCRN_TRANSFORM_H
#define GTCRN_TRANSFORM_H

#include "layout.h"
#include "vector.h"

/* (re, im) times (c, s) */
static inline void rotate(vec *re, vec *im, vec c, vec s)
{
    vec x = *re * c - *im * s;
    *im = *re * s + *im * c;
    *re = x;
}

/* Fourier transform of four. */
static inline void four(vec re[4], vec im[4])
{
    vec a = re[0] + re[2], b = re[0] - re[2], c = re[1] + re[3], d = re[1] - re[3];
    vec e = im[0] + im[2], f = im[0] - im[2], g = im[1] + im[3], h = im[1] - im[3];
    re[0] = a + c, re[1] = b + h, re[2] = a - c, re[3] = b - h;
    im[0] = e + g, im[1] = f - d, im[2] = e - g, im[3] = f + d;
}

/* Fourier transform of sixteen, down each column of the square: four times four. */
static inline void columns(const fourier *p, float *re, float *im)
{
    for (int lane = 0; lane < SIDE; lane += LANES) {
        vec x[4][4], y[4][4];
        for (int j = 0; j < 4; j++) {
            vec a[4], b[4];
            for (int i = 0; i < 4; i++) {
                a[i] = load(re + (4 * i + j) * SIDE + lane);
                b[i] = load(im + (4 * i + j) * SIDE + lane);
            }
            four(a, b);
            for (int i = 0; i < 4; i++) {
                float cosine = p->twiddle[0][4 * i][4 * j], sine = p->twiddle[1][4 * i][4 * j];
                if (i && j) rotate(a + i, b + i, (vec){0} + cosine, (vec){0} + sine);
                x[i][j] = a[i], y[i][j] = b[i];
            }
        }
        for (int i = 0; i < 4; i++) {
            four(x[i], y[i]);
            for (int j = 0; j < 4; j++) {
                store(re + (4 * j + i) * SIDE + lane, x[i][j]);
                store(im + (4 * j + i) * SIDE + lane, y[i][j]);
            }
        }
    }
}

static inline void transpose(float *x)
{
    for (int i = 1; i < SIDE; i++)
        for (int j = 0; j < i; j++) {
            float other = x[SIDE * j + i];
            x[SIDE * j + i] = x[SIDE * i + j];
            x[SIDE * i + j] = other;
        }
}

/* Fourier transform of HOP complex numbers in place; with the parts exchanged it is the inverse, times HOP. */
static inline void complex_transform(const fourier *p, float *re, float *im)
{
    columns(p, re, im);
    for (int i = 0; i < HOP; i += LANES) {
        vec a = load(re + i), b = load(im + i);
        rotate(&a, &b, load(p->twiddle[0][0] + i), load(p->twiddle[1][0] + i));
        store(re + i, a), store(im + i, b);
    }
    transpose(re);
    transpose(im);
    columns(p, re, im);
}

/* From the spectrum of even samples + i odd samples to that of all (sign 1), or back (sign -1): numbers 0 to HOP of
   one to the first HOP of the other. */
static inline void split(const fourier *p, float sign, float scale, const float *re, const float *im, float *x,
                         float *y)
{
    for (int k = 0; k < HOP; k += LANES) {
        vec a = load(re + k), b = load(im + k), c = load(re + HOP + 1 - LANES - k), d = load(im + HOP + 1 - LANES - k);
        vec cosine = load(p->split[0] + k) * sign, sine = load(p->split[1] + k);
        c = REVERSE(c), d = REVERSE(d);
        store(x + k, (a + c + cosine * (b + d) + sine * (a - c)) * scale);
        store(y + k, (b - d + sine * (b + d) - cosine * (a - c)) * scale);
    }
}

/* Window and transform FFT samples to BINS complex numbers. */
static inline void analyse(const fourier *p, const float *samples, float *spectrum)
{
    float re[HOP + 1], im[HOP + 1], x[HOP], y[HOP];
    for (int i = 0; i < HOP; i += LANES) {
        vec a = load(samples + 2 * i) * load(p->window + 2 * i);
        vec b = load(samples + 2 * i + LANES) * load(p->window + 2 * i + LANES);
        store(re + i, EVEN(a, b));
        store(im + i, ODD(a, b));
    }
    complex_transform(p, re, im);
    re[HOP] = re[0], im[HOP] = im[0];
    split(p, 1, 0.5f, re, im, x, y);
    for (int i = 0; i < HOP; i += LANES) {
        store(spectrum + 2 * i, MERGE_LOW(load(x + i), load(y + i)));
        store(spectrum + 2 * i + LANES, MERGE_HIGH(load(x + i), load(y + i)));
    }
    spectrum[2 * HOP] = re[0] - im[0];
    spectrum[2 * HOP + 1] = 0;
}

/* Samples 2 i and after, 2 LANES of them, from the inverse transform, windowed. */
static inline void windowed(const fourier *p, const float *re, const float *im, int i, vec *a, vec *b)
{
    *a = MERGE_LOW(load(re + i), load(im + i)) * load(p->window + 2 * i);
    *b = MERGE_HIGH(load(re + i), load(im + i)) * load(p->window + 2 * i + LANES);
}

/* The inverse, added to the half of the frame before: HOP samples, and the other half for the next frame. The
   imaginary parts of the first and last bin do not count. */
static inline void synthesise(const fourier *p, const float *spectrum, float *overlap, float *samples)
{
    float re[HOP + 1], im[HOP + 1], x[HOP], y[HOP];
    vec a, b;
    for (int i = 0; i < HOP; i += LANES) {
        a = load(spectrum + 2 * i), b = load(spectrum + 2 * i + LANES);
        store(re + i, EVEN(a, b));
        store(im + i, ODD(a, b));
    }
    re[HOP] = spectrum[2 * HOP];
    im[0] = im[HOP] = 0;
    split(p, -1, 1.0f / FFT, re, im, x, y);
    complex_transform(p, y, x);
    for (int i = 0; i < HOP / 2; i += LANES) {
        windowed(p, x, y, i, &a, &b);
        store(samples + 2 * i, a + load(overlap + 2 * i));
        store(samples + 2 * i + LANES, b + load(overlap + 2 * i + LANES));
        windowed(p, x, y, HOP / 2 + i, &a, &b);
        store(overlap + 2 * i, a);
        store(overlap + 2 * i + LANES, b);
    }
}

#endif
