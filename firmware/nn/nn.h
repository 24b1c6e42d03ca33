/* A compiled network: constant data (the plan) and the runner that executes it.
 *
 * The plan is produced by codegen and never changes at run time. It holds no code: a layer names
 * its kernel by number and the caller supplies the table from numbers to functions, so that an
 * image links only the kernels its model needs while the PC library links them all.
 *
 * What a network keeps from one inference to the next, its variables, are tensors whose places in the arena
 * hold nothing else. Without any, an inference depends on its input alone.
 *
 * Everything is batch 1. Nothing here allocates; the caller owns the arena, which must be aligned
 * to NN_ARENA_ALIGNMENT and live as long as the nn_t.
 */
#ifndef TOKAY_NN_H
#define TOKAY_NN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NN_ARENA_ALIGNMENT 8
#define NN_PLAN_VERSION 1

typedef enum {
    NN_OK = 0,
    NN_ERROR_VERSION,     /* the plan was generated for another layout of these structures */
    NN_ERROR_ARENA,       /* arena missing, misaligned or smaller than plan->arena_bytes, or a plan that
                             leads outside of it or of its own tensors */
    NN_ERROR_KERNEL,      /* a layer names a kernel that the table does not have */
    NN_ERROR_ACCELERATOR, /* the accelerator reported a fault, or a layer wants one and there is none */
} nn_status_t;

/* Kernel numbers. Appended to, never renumbered: they are part of a stored plan. */
typedef enum {
#define NN_KERNEL(name) NN_KERNEL_##name,
#include "nn_kernels.def"
#undef NN_KERNEL
    NN_KERNEL_COUNT
} nn_kernel_t;

/* Where a tensor lives: in constant memory if `constant` is set, else in the arena. */
typedef struct nn_tensor {
    const void *constant; /* NULL for an activation */
    uint32_t offset;      /* bytes from the start of the arena, for an activation */
    uint32_t bytes;
} nn_tensor_t;

typedef struct nn_layer {
    uint16_t kernel;         /* nn_kernel_t */
    uint16_t opcode;         /* BuiltinOperator of the .tflite, for reports */
    uint16_t output;         /* index into plan->tensors */
    uint16_t input_count;
    const uint16_t *inputs;  /* indices into plan->tensors: the operator's activation inputs */
    const void *options;     /* the kernel's own structure, see nn_kernels.h */
    uint32_t scratch_offset; /* bytes into the arena */
    uint32_t scratch_bytes;
} nn_layer_t;

typedef struct nn_plan {
    uint16_t version; /* NN_PLAN_VERSION */
    uint16_t reset_count; /* layers behind the others that give variables their initial values, 0 without any */
    uint32_t arena_bytes;
    uint16_t tensor_count;
    uint16_t layer_count;
    uint16_t input;  /* tensor index of the network's input */
    uint16_t output; /* tensor index of the network's output */
    const nn_tensor_t *tensors;
    const nn_layer_t *layers; /* layer_count, then reset_count */
    uint8_t model_hash[16]; /* first bytes of the SHA-256 of the .tflite */
} nn_plan_t;

/* What a kernel is given for one call. */
typedef struct nn_call {
    const nn_plan_t *plan;
    const nn_layer_t *layer;
    uint8_t *arena;
    void *accelerator; /* what nn_init was given; NULL where kernels need none */
} nn_call_t;

typedef nn_status_t (*nn_kernel_fn)(const nn_call_t *call);

typedef struct nn {
    const nn_plan_t *plan;
    const nn_kernel_fn *kernels; /* NN_KERNEL_COUNT entries, NULL where not linked */
    uint8_t *arena;
    void *accelerator;
} nn_t;

/* Binds a plan to memory and, where layers are the accelerator's, to its driver (an nn_mvp_t, see
 * kernels/mvp/nn_mvp.h), else NULL; then resets it. Checks everything that can be checked, so that nn_run
 * cannot fail for a reason known here. */
nn_status_t nn_init(nn_t *nn, const nn_plan_t *plan, const nn_kernel_fn *kernels, uint8_t *arena,
                    uint32_t arena_bytes, void *accelerator);

/* Variables back to their initial values: what follows does not depend on earlier inferences. */
void nn_reset(const nn_t *nn);

/* The input and output buffers (in the arena). The input is overwritten by nn_run. */
void *nn_input(const nn_t *nn);
const void *nn_output(const nn_t *nn);

/* Runs every layer, or one (index < plan->layer_count; its inputs must be in the arena). An inference reads
 * variables and leaves new values in them, so each moment of a signal is to be run once. */
nn_status_t nn_run(const nn_t *nn);
nn_status_t nn_run_layer(const nn_t *nn, uint32_t index);

/* Addresses of a tensor and of a call's operands, for kernels and profilers. */
void *nn_tensor_data(const nn_plan_t *plan, uint8_t *arena, uint32_t tensor);
const void *nn_call_input(const nn_call_t *call, uint32_t k);
void *nn_call_output(const nn_call_t *call);
void *nn_call_scratch(const nn_call_t *call);

#ifdef __cplusplus
}
#endif
#endif
