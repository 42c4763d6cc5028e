/* The network for any processor. */
#define SET base
#define LANES 4
#include "network.h"
