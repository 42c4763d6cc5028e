/* The LV2 plugins that gtcrn.ttl describes: the ports of the LADSPA plugins, in the same order. */
#include "../plugin.h"

#include <lv2/core/lv2.h>

/* LV2 has rates that are no whole numbers; such are refused. */
static LV2_Handle new_plugin(double rate, int channels)
{
    return rate >= 1 && rate <= GTCRN_HIGHEST_RATE && rate == (int)rate ? plugin_new((unsigned long)rate, channels) : NULL;
}

static LV2_Handle mono(const LV2_Descriptor *descriptor, double rate, const char *path, const LV2_Feature *const *features)
{
    (void)descriptor, (void)path, (void)features;
    return new_plugin(rate, 1);
}

static LV2_Handle stereo(const LV2_Descriptor *descriptor, double rate, const char *path,
                         const LV2_Feature *const *features)
{
    (void)descriptor, (void)path, (void)features;
    return new_plugin(rate, 2);
}

static void connect_port(LV2_Handle instance, uint32_t port, void *data) { plugin_connect(instance, port, data); }

static void activate(LV2_Handle instance) { delayed_reset(((plugin *)instance)->denoiser); }

static void run(LV2_Handle instance, uint32_t samples) { plugin_run(instance, samples); }

static void cleanup(LV2_Handle instance) { plugin_free(instance); }

static const LV2_Descriptor descriptors[] = {
    {"urn:gtcrn:mono", mono, connect_port, activate, run, NULL, cleanup, NULL},
    {"urn:gtcrn:stereo", stereo, connect_port, activate, run, NULL, cleanup, NULL},
};

LV2_SYMBOL_EXPORT const LV2_Descriptor *lv2_descriptor(uint32_t index)
{
    return index < sizeof descriptors / sizeof descriptors[0] ? &descriptors[index] : NULL;
}
