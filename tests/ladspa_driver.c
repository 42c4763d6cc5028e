/* A LADSPA host that misbehaves: ladspa_driver PLUGIN.so; every demand that is not met ends it with a line.

   Its allocator counts, so that a call which allocates is seen. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <ladspa.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
static size_t allocations;

void *malloc(size_t size) { return allocations++, __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return allocations++, __libc_calloc(count, size); }

enum { MOST = 1000000, LIMIT = 0, BYPASS, KEEP_HIGHS, LATENCY, AUDIO };
static float in[2][MOST], out[2][MOST], controls[4] = {100, 0, 0, 0};

static void demand(int met, const char *what)
{
    if (met) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

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

static void run(const LADSPA_Descriptor *d, LADSPA_Handle plugin, unsigned long samples)
{
    size_t before = allocations;
    d->run(plugin, samples);
    demand(allocations == before, "a call allocates");
    for (unsigned long i = 0; i < samples; i++) demand(isfinite(out[0][i]), "what comes out is finite");
}

static void at_rate(const LADSPA_Descriptor *d, unsigned long rate)
{
    static const unsigned long counts[] = {0, 1, 255, 256, 257, 0, 4096, MOST};
    const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-42f, -1e7f};
    size_t before = allocations;
    LADSPA_Handle plugin = make(d, rate);
    demand(plugin != NULL, "a rate from 8 to 192 kHz is served");
    demand(allocations > before, "the host sees what a plugin allocates");
    for (int i = 0; i < MOST; i++) in[0][i] = in[1][i] = i % 7 ? (float)(i % 100) / 200 - 0.25f : odd[i / 7 % 6];
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        controls[LIMIT] = i % 3 == 2 ? NAN : 10 * (float)i, controls[BYPASS] = i % 2, controls[KEEP_HIGHS] = i % 4 < 2;
        run(d, plugin, counts[i]);
    }
    demand(controls[LATENCY] >= 32 * (float)rate / 1000 - 1, "the delay is told");
    d->cleanup(plugin);
}

int main(int count, char **arguments)
{
    void *library = count == 2 ? dlopen(arguments[1], RTLD_NOW) : NULL;
    LADSPA_Descriptor_Function find;
    demand(library != NULL, "usage: ladspa_driver PLUGIN.so");
    *(void **)&find = dlsym(library, "ladspa_descriptor");
    for (unsigned long i = 0; i < 2; i++) {
        const LADSPA_Descriptor *d = find(i);
        static const unsigned long served[] = {8000, 16000, 44100, 191999}, refused[] = {0, 1, 7999, 192001, ~0UL};
        for (int k = 0; k < 5; k++) demand(!d->instantiate(d, refused[k]), "other rates are refused");
        for (int k = 0; k < 4; k++) at_rate(d, served[k]);
        d->cleanup(d->instantiate(d, 16000));
    }
    demand(!find(2) && !find(~0UL), "there are two plugins");
    return 0;
}
