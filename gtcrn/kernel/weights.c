/* Weights in memory: those built in, and those that gtcrn/kernel/embed.py wrote. */
#include "kernel.h"

#include <math.h>
#include <string.h>

enum { VERSION = 1 };

typedef struct {
    char magic[8];
    uint32_t version, count;
    uint64_t hash;
} header;

#ifdef GTCRN_BUILT_IN
extern const float gtcrn_built_in[];
extern const size_t gtcrn_built_in_count;

const gtcrn_params *gtcrn_weights(void)
{
    const gtcrn_params *params = (const gtcrn_params *)gtcrn_built_in;
    const gtcrn_kernel *kernel = gtcrn_kernel_of(params);
    return kernel && kernel->params == gtcrn_built_in_count ? params : NULL; /* NULL: another version wrote them */
}
#endif

const gtcrn_params *gtcrn_weights_from(const void *bytes, size_t size)
{
    header h;
    const float *values = (const float *)((const char *)bytes + sizeof h);
    if (!bytes || (uintptr_t)bytes % sizeof(float) || size < sizeof h + sizeof(gtcrn_params)) return NULL;
    memcpy(&h, bytes, sizeof h);
    const gtcrn_kernel *kernel = gtcrn_kernel_of((const gtcrn_params *)values);
    if (memcmp(h.magic, "GTCRNwts", 8) || h.version != VERSION || !kernel || h.count != kernel->params) return NULL;
    if (size != sizeof h + h.count * sizeof(float) || h.hash != gtcrn_hash(values, size - sizeof h)) return NULL;
    for (size_t i = 0; i < h.count; i++)
        if (!isfinite(values[i])) return NULL;
    return (const gtcrn_params *)values;
}
