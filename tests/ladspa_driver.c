/* A LADSPA host that misbehaves: ladspa_driver PLUGIN.so. */
#include "hostile_host.h"

#include <ladspa.h>

static LADSPA_Handle make(const LADSPA_Descriptor *d, unsigned long rate)
{
    LADSPA_Handle plugin = d->instantiate(d, rate);
    int channels = (int)(d->PortCount - AUDIO) / 2;
    if (!plugin) return NULL;
    for (unsigned long i = 0; i < AUDIO; i++) d->connect_port(plugin, i, controls + i);
    for (int i = 0; i < channels; i++) {
        d->connect_port(plugin, (unsigned long)(AUDIO + i), in[i]);
        d->connect_port(plugin, (unsigned long)(AUDIO + channels + i), out[i]);
    }
    d->activate(plugin);
    return plugin;
}

static void at_rate(const LADSPA_Descriptor *d, unsigned long rate)
{
    size_t before = allocations;
    LADSPA_Handle plugin = make(d, rate);
    demand(plugin != NULL, "a rate from 8 to 192 kHz is served");
    demand(allocations > before, "the host sees what a plugin allocates");
    for (size_t i = 0; i < COUNT(counts); i++) {
        turn_knobs(i);
        before = allocations;
        d->run(plugin, counts[i]);
        judge_call(before, counts[i]);
    }
    demand(controls[LATENCY] >= 32 * (float)rate / 1000 - 1, "the delay is told");
    d->cleanup(plugin);
}

int main(int count, char **arguments)
{
    static const unsigned long served[] = {8000, 16000, 44100, 191999}, refused[] = {0, 1, 7999, 192001, ~0UL};
    LADSPA_Descriptor_Function find;
    *(void **)&find = symbol(count == 2 ? arguments[1] : NULL, "ladspa_descriptor");
    fill_with_odd();
    for (unsigned long i = 0; i < 2; i++) {
        const LADSPA_Descriptor *d = find(i);
        for (size_t k = 0; k < COUNT(refused); k++) demand(!d->instantiate(d, refused[k]), "other rates are refused");
        for (size_t k = 0; k < COUNT(served); k++) at_rate(d, served[k]);
        d->cleanup(d->instantiate(d, 16000));
    }
    demand(!find(2) && !find(~0UL), "there are two plugins");
    return 0;
}
