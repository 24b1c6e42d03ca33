/* The names of the kernels in the image, for people; a host knows them by number. */
#ifndef TOKAY_KERNEL_NAMES_H
#define TOKAY_KERNEL_NAMES_H

#include "nn.h"

/* By number, as in nn_kernels.def. Which kernels there are is known where their table is, in model_fixed.c or
 * model_slots.c, so the names are there too; NULL for the others, lest every image stores them all. */
extern const char *const kernel_names[NN_KERNEL_COUNT];

#endif
