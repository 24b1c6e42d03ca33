/* The runner: binds a plan to memory and calls the kernels in order. */
#include "nn.h"

void *nn_tensor_data(const nn_plan_t *plan, uint8_t *arena, uint32_t tensor)
{
    const nn_tensor_t *t = &plan->tensors[tensor];
    /* Constants are never written: only inputs may be constant, and kernels take those as const, but for
     * the state of an svdf, which is a variable. */
    return t->constant ? (void *)(uintptr_t)t->constant : (void *)(arena + t->offset);
}

const void *nn_call_input(const nn_call_t *call, uint32_t k)
{
    return nn_tensor_data(call->plan, call->arena, call->layer->inputs[k]);
}

void *nn_call_output(const nn_call_t *call)
{
    return nn_tensor_data(call->plan, call->arena, call->layer->output);
}

void *nn_call_scratch(const nn_call_t *call)
{
    return call->arena + call->layer->scratch_offset;
}

/* Those of a reset, too. */
static uint32_t all_layers(const nn_plan_t *plan)
{
    return (uint32_t)plan->layer_count + plan->reset_count;
}

static int fits(uint32_t offset, uint32_t bytes, uint32_t limit)
{
    return offset <= limit && bytes <= limit - offset;
}

static nn_status_t check_layer(const nn_plan_t *plan, const nn_kernel_fn *kernels,
                               const nn_layer_t *layer, const void *accelerator)
{
    if (layer->kernel >= NN_KERNEL_COUNT || !kernels[layer->kernel]) return NN_ERROR_KERNEL;
    if (layer->kernel == NN_KERNEL_mvp && !accelerator) return NN_ERROR_ACCELERATOR;
    if (layer->output >= plan->tensor_count || plan->tensors[layer->output].constant ||
        !fits(layer->scratch_offset, layer->scratch_bytes, plan->arena_bytes))
        return NN_ERROR_ARENA;
    for (uint32_t i = 0; i < layer->input_count; i++)
        if (layer->inputs[i] >= plan->tensor_count) return NN_ERROR_ARENA;
    return NN_OK;
}

nn_status_t nn_init(nn_t *nn, const nn_plan_t *plan, const nn_kernel_fn *kernels, uint8_t *arena,
                    uint32_t arena_bytes, void *accelerator)
{
    if (plan->version != NN_PLAN_VERSION) return NN_ERROR_VERSION;
    if (!arena || (uintptr_t)arena % NN_ARENA_ALIGNMENT || arena_bytes < plan->arena_bytes ||
        plan->input >= plan->tensor_count || plan->output >= plan->tensor_count)
        return NN_ERROR_ARENA;
    for (uint32_t i = 0; i < plan->tensor_count; i++) {
        const nn_tensor_t *t = &plan->tensors[i];
        if (!t->constant && !fits(t->offset, t->bytes, plan->arena_bytes)) return NN_ERROR_ARENA;
    }
    for (uint32_t i = 0; i < all_layers(plan); i++) {
        const nn_status_t status = check_layer(plan, kernels, &plan->layers[i], accelerator);
        if (status != NN_OK) return status;
    }
    *nn = (nn_t){.plan = plan, .kernels = kernels, .arena = arena, .accelerator = accelerator};
    nn_reset(nn);
    return NN_OK;
}

void *nn_input(const nn_t *nn)
{
    return nn_tensor_data(nn->plan, nn->arena, nn->plan->input);
}

const void *nn_output(const nn_t *nn)
{
    return nn_tensor_data(nn->plan, nn->arena, nn->plan->output);
}

nn_status_t nn_run_layer(const nn_t *nn, uint32_t index)
{
    const nn_layer_t *layer = &nn->plan->layers[index];
    const nn_call_t call = {
        .plan = nn->plan, .layer = layer, .arena = nn->arena, .accelerator = nn->accelerator};
    return nn->kernels[layer->kernel](&call);
}

nn_status_t nn_run(const nn_t *nn)
{
    for (uint32_t i = 0; i < nn->plan->layer_count; i++) {
        const nn_status_t status = nn_run_layer(nn, i);
        if (status != NN_OK) return status;
    }
    return NN_OK;
}

void nn_reset(const nn_t *nn)
{
    const uint32_t end = all_layers(nn->plan);
    for (uint32_t i = nn->plan->layer_count; i < end; i++)
        (void)nn_run_layer(nn, i); /* a copy, which cannot fail */
}
