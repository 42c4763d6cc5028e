/* The layers for any processor. */
#include "layers.h"
