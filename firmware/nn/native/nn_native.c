/* What the PC library exports beside the runner: the table of all kernels, and the sizes of the
 * structures that Python lays out, so that a library older than the Python code is noticed. */
#include "nn_kernels.h"

extern const nn_kernel_fn nn_native_kernels[NN_KERNEL_COUNT];

const nn_kernel_fn nn_native_kernels[NN_KERNEL_COUNT] = {
#define NN_KERNEL(name) [NN_KERNEL_##name] = nn_kernel_##name,
#include "nn_kernels.def"
#undef NN_KERNEL
};

extern const uint32_t nn_native_sizes[];

/* In the order of codegen/emit_memory.py; 0 ends the list. */
const uint32_t nn_native_sizes[] = {
    sizeof(nn_tensor_t),
    sizeof(nn_layer_t),
    sizeof(nn_plan_t),
    sizeof(nn_t),
    sizeof(nn_conv_2d_options_t),
    sizeof(nn_depthwise_conv_2d_options_t),
    sizeof(nn_fully_connected_options_t),
    sizeof(nn_batch_matmul_options_t),
    sizeof(nn_pool_2d_options_t),
    sizeof(nn_add_options_t),
    sizeof(nn_mul_options_t),
    sizeof(nn_div_options_t),
    sizeof(nn_pad_options_t),
    sizeof(nn_mean_options_t),
    sizeof(nn_copy_options_t),
    sizeof(nn_softmax_options_t),
    sizeof(nn_log_softmax_options_t),
    sizeof(nn_l2_normalization_options_t),
    sizeof(nn_svdf_options_t),
    sizeof(nn_quantize_options_t),
    sizeof(nn_requantize_options_t),
    sizeof(nn_concatenation_options_t),
    sizeof(nn_table_options_t),
    sizeof(nn_strided_slice_options_t),
    sizeof(nn_lstm_options_t),
    sizeof(nn_mvp_options_t),
    0,
};
