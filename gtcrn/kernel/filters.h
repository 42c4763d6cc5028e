/* The two changes of sample rate around the network, as windowed sincs whose taps are tabulated by phase.

   Output k lies at the time of input k down / up, exactly, for any two whole rates, so a stream never drifts. It is the
   sum of 2 reach inputs, weighted by the row of its phase; where a ratio has too many phases to tabulate them all, by
   two neighbouring rows with linear interpolation. Inputs before the first are zeros. */
#ifndef GTCRN_FILTERS_H
#define GTCRN_FILTERS_H

#include "gtcrn.h"

#include <stddef.h>
#include <stdint.h>

enum { TAPS = 16 }; /* floats that a sum of products adds at once; rows are padded to them with zeros */

typedef struct {
    int up, down;  /* the ratio of the rates, in lowest terms */
    int reach;     /* inputs on either side of an output; 0 where the rates are equal: inputs pass through */
    int width;     /* floats of a row */
    int intervals; /* between rows, from one input to the next */
    int exact;     /* whether each phase has a row of its own */
    const float *rows;
} filter;

struct gtcrn_filters {
    int sample_rate, latency, fade; /* Hz, samples at this rate, samples that a change takes to fade in */
    filter down, up;                /* to 16 kHz and back */
    float rows[];
};

/* The first input that output k is made of; before input 0 at first. */
static inline int64_t first_input(const filter *f, int64_t k)
{
    return k * f->down / f->up - (f->reach ? f->reach - 1 : 0);
}

/* Outputs that can be computed once so many inputs are there. */
static inline int64_t ready(const filter *f, int64_t inputs)
{
    return inputs > f->reach ? ((inputs - f->reach) * f->up + f->down - 1) / f->down : 0;
}

/* Inputs without which there are not so many outputs, 1 or more. */
static inline int64_t needed(const filter *f, int64_t outputs) { return (outputs - 1) * f->down / f->up + f->reach + 1; }

#endif
