/* An LV2 host that misbehaves: lv2_driver PLUGIN.so. */
#include "hostile_host.h"

#include <lv2/core/lv2.h>

static const LV2_Feature unknown = {"urn:nothing:that:is:known", NULL};
static const LV2_Feature *const none[] = {NULL}, *const one[] = {&unknown, NULL};

/* Hosts must give a path and features; this one forgets now and then. */
static LV2_Handle make(const LV2_Descriptor *d, double rate)
{
    static const LV2_Feature *const *const features[] = {none, one, NULL};
    static size_t round;
    round++;
    return d->instantiate(d, rate, round % 2 ? "/nowhere/" : NULL, features[round % COUNT(features)]);
}

static uint32_t channels_of(const LV2_Descriptor *d) { return strstr(d->URI, "stereo") ? 2 : 1; }

static void connect_audio(const LV2_Descriptor *d, LV2_Handle plugin)
{
    for (uint32_t i = 0, channels = channels_of(d); i < channels; i++) {
        d->connect_port(plugin, AUDIO + i, in[i]);
        d->connect_port(plugin, AUDIO + channels + i, out[i]);
    }
}

static void call(const LV2_Descriptor *d, LV2_Handle plugin, size_t samples)
{
    size_t before = allocations;
    d->run(plugin, (uint32_t)samples);
    judge_call(before, samples);
}

/* Ports that are missing, that are taken away and that there are not; runs before it is activated. */
static void half_connected(const LV2_Descriptor *d)
{
    LV2_Handle plugin = make(d, 48000);
    call(d, plugin, 256);
    connect_audio(d, plugin);
    call(d, plugin, MOST);
    for (uint32_t port = 0; port < AUDIO + 4; port++) d->connect_port(plugin, port, NULL);
    d->activate(plugin);
    call(d, plugin, 256);
    connect_audio(d, plugin);
    for (uint32_t port = 0; port < AUDIO; port++) {
        d->connect_port(plugin, port, controls + port);
        call(d, plugin, 256);
    }
    d->connect_port(plugin, 99, out), d->connect_port(plugin, ~0U, out);
    call(d, plugin, 256);
    d->cleanup(plugin);
}

/* Deactivated twice or never, activated twice, in place: each time it makes the same of the same sound. */
static void activated_again(const LV2_Descriptor *d)
{
    enum { SAMPLES = 10000 };
    static float first[SAMPLES];
    LV2_Handle plugin = make(d, 44100);
    connect_audio(d, plugin);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; d->deactivate && i < round; i++) d->deactivate(plugin);
        for (int i = 0; i <= round % 2; i++) d->activate(plugin);
        if (round == 3) d->connect_port(plugin, AUDIO, memcpy(out[0], in[0], sizeof first));
        call(d, plugin, SAMPLES);
        if (!round) memcpy(first, out[0], sizeof first);
        demand(!memcmp(first, out[0], sizeof first), "an activated plugin is as new");
    }
    d->cleanup(plugin);
}

static void at_rate(const LV2_Descriptor *d, double rate)
{
    size_t before = allocations;
    LV2_Handle plugin = make(d, rate);
    demand(plugin != NULL, "a rate from 8 to 192 kHz is served");
    demand(allocations > before, "the host sees what a plugin allocates");
    connect_audio(d, plugin);
    for (uint32_t port = 0; port < AUDIO; port++) d->connect_port(plugin, port, controls + port);
    d->activate(plugin);
    for (size_t i = 0; i < COUNT(counts); i++) turn_knobs(i), call(d, plugin, counts[i]);
    demand(controls[LATENCY] >= 32 * (float)rate / 1000 - 1, "the delay is told");
    d->cleanup(plugin);
}

int main(int count, char **arguments)
{
    static const double served[] = {8000, 16000, 44100, 191999};
    const double refused[] = {0, 1, 7999, 44100.5, 192001, 1e9, 1e300, -16000, NAN, INFINITY, -INFINITY};
    LV2_Descriptor_Function find;
    *(void **)&find = symbol(count == 2 ? arguments[1] : NULL, "lv2_descriptor");
    fill_with_odd();
    for (uint32_t i = 0; i < 2; i++) {
        const LV2_Descriptor *d = find(i);
        for (size_t k = 0; k < COUNT(refused); k++) demand(!make(d, refused[k]), "other rates are refused");
        for (size_t k = 0; k < COUNT(served); k++) at_rate(d, served[k]);
        demand(!d->extension_data || !d->extension_data("urn:nothing"), "there are no extensions");
        half_connected(d), activated_again(d);
        d->cleanup(make(d, 16000));
    }
    demand(!find(2) && !find(~0U), "there are two plugins");
    return 0;
}
