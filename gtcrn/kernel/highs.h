/* The band above 8 kHz, which the network does not hear: with the option it passes with one gain that follows from what
   the network makes of the band below.

   The band is the input less what resampling leaves of it on its way to 16 kHz and back. That complement has no edge of
   its own: where nothing is taken away both parts add up to the input to the sample, the resampler's transition from 7.2
   to 8 kHz included, and no filter of its own costs time, delay or memory. As resampling is linear, the part below is
   taken away at 16 kHz already, from the hop that is resampled anyway, and the delayed input is there for the limit:

       wet + gain (input - up(down(input))) = up(enhanced - gain down(input)) + gain input

   Each frame's gain holds in its middle, and is faded into the next one's as the windows fade the masks. */
#ifndef GTCRN_HIGHS_H
#define GTCRN_HIGHS_H

#include "stream.h"

/* Gains where a hop begins and where it ends, `part` of it along: to a hundredth the windows' squared sine. */
static inline float between(const float gains[2], float part)
{
    return gains[0] + (gains[1] - gains[0]) * (part * part * (3 - 2 * part));
}

/* The newest frame's gain follows the others. */
static inline void remember_gain(float gains[GAINS], float newest)
{
    for (int i = 1; i < GAINS; i++) gains[i - 1] = gains[i];
    gains[GAINS - 1] = newest;
}

/* The band below of what add_highs adds, from the hop that lies between the last two gains. */
static inline void leave_lows(const float gains[GAINS], const float *low, float *wet)
{
    const float *ends = gains + GAINS - 2;
    if (ends[0] == 0 && ends[1] == 0) return;
    for (int i = 0; i < HOP; i++) wet[i] -= between(ends, (float)i / HOP) * low[i];
}

/* The input from number `from` on, of which the last gain's place is the middle of frame number `frame`. An output waits
   for less than a hop behind its own, so three gains suffice. */
static inline void add_highs(const filter *up, const float gains[GAINS], int64_t frame, int64_t from, const float *input,
                             float *wet, int count)
{
    if (gains[0] == 0 && gains[1] == 0 && gains[2] == 0) return;
    int hop = HOP * up->up, place = (int)(from * up->down - (frame - GAINS + 1) * hop);
    for (int i = 0; i < count; i++, place += up->down) {
        int later = place >= hop;
        wet[i] += between(gains + later, (float)(place - later * hop) / (float)hop) * input[i];
    }
}

#endif
