/* LADSPA plugins gtcrn_mono and gtcrn_stereo: any host rate from 8 to 192 kHz, any number of samples a call.

   The stereo plugin denoises its channels each by itself. */
#include "../plugin.h"

#include <ladspa.h>

static LADSPA_Handle instantiate(const LADSPA_Descriptor *descriptor, unsigned long sample_rate)
{
    return plugin_new(sample_rate, (int)(descriptor->PortCount - AUDIO) / 2);
}

static void connect_port(LADSPA_Handle instance, unsigned long port, LADSPA_Data *data)
{
    plugin_connect(instance, port, data);
}

static void activate(LADSPA_Handle instance) { delayed_reset(((plugin *)instance)->denoiser); }

static void run(LADSPA_Handle instance, unsigned long samples) { plugin_run(instance, samples); }

static void cleanup(LADSPA_Handle instance) { plugin_free(instance); }

/* ---- what hosts read ---- */

enum { CONTROL_IN = LADSPA_PORT_INPUT | LADSPA_PORT_CONTROL, CONTROL_OUT = LADSPA_PORT_OUTPUT | LADSPA_PORT_CONTROL,
       AUDIO_IN = LADSPA_PORT_INPUT | LADSPA_PORT_AUDIO, AUDIO_OUT = LADSPA_PORT_OUTPUT | LADSPA_PORT_AUDIO };

static const LADSPA_PortDescriptor mono_ports[] = {CONTROL_IN, CONTROL_IN, CONTROL_IN, CONTROL_OUT, AUDIO_IN,
                                                   AUDIO_OUT};
static const LADSPA_PortDescriptor stereo_ports[] = {CONTROL_IN, CONTROL_IN, CONTROL_IN, CONTROL_OUT,
                                                     AUDIO_IN,   AUDIO_IN,   AUDIO_OUT,  AUDIO_OUT};
#define CONTROLS "Attenuation limit (dB)", "Bypass", "Keep highs", "latency"
static const char *const mono_names[] = {CONTROLS, "Input", "Output"};
static const char *const stereo_names[] = {CONTROLS, "Input left", "Input right", "Output left", "Output right"};

/* Of both: the audio ports have none. */
static const LADSPA_PortRangeHint hints[MOST_PORTS] = {
    [LIMIT] = {LADSPA_HINT_BOUNDED_BELOW | LADSPA_HINT_BOUNDED_ABOVE | LADSPA_HINT_DEFAULT_MAXIMUM, 0, 100},
    [BYPASS] = {LADSPA_HINT_TOGGLED | LADSPA_HINT_DEFAULT_0, 0, 0},
    [KEEP_HIGHS] = {LADSPA_HINT_TOGGLED | LADSPA_HINT_DEFAULT_0, 0, 0},
};

#define DESCRIPTOR(id, label, name, kind)                                                                           \
    {                                                                                                               \
        .UniqueID = id, .Label = label, .Properties = LADSPA_PROPERTY_HARD_RT_CAPABLE, .Name = name,                \
        .Maker = "gtcrn", .Copyright = "MIT", .PortCount = sizeof kind##_ports / sizeof kind##_ports[0],            \
        .PortDescriptors = kind##_ports, .PortNames = kind##_names, .PortRangeHints = hints,                        \
        .instantiate = instantiate, .connect_port = connect_port, .activate = activate, .run = run,                 \
        .cleanup = cleanup                                                                                          \
    }

static const LADSPA_Descriptor descriptors[] = {
    DESCRIPTOR(8417261, "gtcrn_mono", "GTCRN speech denoiser (mono)", mono),
    DESCRIPTOR(8417262, "gtcrn_stereo", "GTCRN speech denoiser (stereo)", stereo),
};

__attribute__((visibility("default"))) const LADSPA_Descriptor *ladspa_descriptor(unsigned long index)
{
    return index < sizeof descriptors / sizeof descriptors[0] ? &descriptors[index] : NULL;
}
