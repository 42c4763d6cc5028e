/* The network of 32 channels. */
#define CHANNELS 32
#include "avx2.c"
