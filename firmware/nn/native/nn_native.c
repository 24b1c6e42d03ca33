/* What the PC library exports beside the runner: the table of all kernels. The accelerator's kernel
 * is not linked here. */
#include "nn_kernels.h"

extern const nn_kernel_fn nn_native_kernels[NN_KERNEL_COUNT];

const nn_kernel_fn nn_native_kernels[NN_KERNEL_COUNT] = {
#define NN_KERNEL(name) [NN_KERNEL_##name] = nn_kernel_##name,
#define nn_kernel_mvp NULL
#include "nn_kernels.def"
#undef nn_kernel_mvp
#undef NN_KERNEL
};
