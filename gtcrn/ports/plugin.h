/* What the plugins of LADSPA and LV2 have in common: ports that a host connects, in one order for both. */
#ifndef GTCRN_PLUGIN_H
#define GTCRN_PLUGIN_H

#include "delayed.h"

enum {
    LIMIT, BYPASS, KEEP_HIGHS, LATENCY,
    AUDIO /* first the inputs, then the outputs, of 1 or 2 channels */,
    MOST_PORTS = AUDIO + 4
};

typedef struct {
    delayed *denoiser;
    float *ports[MOST_PORTS];
} plugin;

/* NULL for a rate that is not served or where memory has run out. */
static inline plugin *plugin_new(unsigned long sample_rate, int channels)
{
    plugin *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->denoiser = delayed_new(sample_rate, channels);
    if (p->denoiser) return p;
    free(p);
    return NULL;
}

static inline void plugin_connect(plugin *p, unsigned long port, void *data)
{
    if (port < MOST_PORTS) p->ports[port] = data;
}

/* A host must connect all audio ports; with one missing nothing is done. */
static inline void plugin_run(plugin *p, unsigned long samples)
{
    delayed *d = p->denoiser;
    float **audio = p->ports + AUDIO;
    const float *limit = p->ports[LIMIT], *bypass = p->ports[BYPASS], *highs = p->ports[KEEP_HIGHS];
    if (limit && bypass && highs) delayed_set(d, *limit, *bypass > 0, *highs > 0);
    if (p->ports[LATENCY]) *p->ports[LATENCY] = (float)d->delay;
    for (int i = 0; i < 2 * d->channels; i++)
        if (!audio[i]) return;
    delayed_run(d, (const float *const *)audio, audio + d->channels, samples);
}

static inline void plugin_free(plugin *p)
{
    delayed_free(p->denoiser);
    free(p);
}

#endif
