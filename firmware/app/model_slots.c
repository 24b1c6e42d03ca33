/* Models that were put in flash behind the firmware: which of them to run, on trial until it has proven
 * itself, in all of the RAM that the firmware leaves. */
#include "model_slots.h"

#include "crc32.h"
#include "format.h"
#include "hal.h"
#include "kernel_names.h"
#include "model_source.h"
#include "nn_kernels.h"

#define SLOTS 2u
#define BIT_OF(n) (1u << (n))
#define OWN_MODEL BIT_OF(SLOTS)

/* From the linker script; of the sizes the address is the number. */
extern const uint8_t model_slot_a[], model_slot_a_bytes[], model_slot_b[], model_slot_b_bytes[];
extern uint8_t model_memory[], model_memory_bytes[];

#if TOKAY_MVP
#define OPTIONAL_KERNELS BIT_OF(NN_KERNEL_mvp)
#else
#define OPTIONAL_KERNELS 0u
#define nn_kernel_mvp NULL
#endif

static const nn_kernel_fn k_kernels[NN_KERNEL_COUNT] = {
#define NN_KERNEL(name) [NN_KERNEL_##name] = nn_kernel_##name,
#include "nn_kernels.def"
#undef NN_KERNEL
};

const char *const kernel_names[NN_KERNEL_COUNT] = {
#define NN_KERNEL(name) #name,
#include "nn_kernels.def"
#undef NN_KERNEL
};

extern const model_taker_t model_taker;
const model_taker_t model_taker __attribute__((section(".taker"), used)) = {
    .magic = MODEL_TAKER_MAGIC,
    .layout = TOKAY_MODEL_LAYOUT,
    .optional_kernels = OPTIONAL_KERNELS,
    .memory_bytes = model_memory_bytes,
};

static const struct {
    const uint8_t *start, *room;
} k_slots[SLOTS] = {{model_slot_a, model_slot_a_bytes}, {model_slot_b, model_slot_b_bytes}};

static const model_header_t *header_of(uint32_t slot) {
    return (const model_header_t *)(const void *)k_slots[slot].start;
}

static bool lies_in(const model_header_t *header, const void *what, size_t bytes, size_t alignment) {
    uintptr_t offset = (uintptr_t)what - (uintptr_t)header;
    return offset % alignment == 0 && offset >= sizeof *header && offset <= header->bytes &&
           bytes <= header->bytes - offset;
}

/* Whether the header and what it leads to first lie where they should. Only then is the rest looked at. */
static bool is_bounded(const model_header_t *header, uint32_t room) {
    return header->address == (uint32_t)(uintptr_t)header && header->bytes >= sizeof *header &&
           header->bytes <= room && lies_in(header, header->model, sizeof(model_t), _Alignof(model_t));
}

static bool is_whole(const model_header_t *header) {
    const uint8_t *start = (const uint8_t *)&header->layout;
    const uint8_t *end = (const uint8_t *)header + header->bytes;
    return crc32_update(0, start, (size_t)(end - start)) == header->crc;
}

static bool leads_inside(const model_header_t *header) {
    const model_t *inside = header->model;
    return lies_in(header, inside->plan, sizeof(nn_plan_t), _Alignof(nn_plan_t)) &&
           lies_in(header, inside->frontend, sizeof(frontend_config_t), _Alignof(frontend_config_t)) &&
           lies_in(header, inside->detector, sizeof(detector_settings_t), _Alignof(detector_settings_t));
}

/* Why a slot's model cannot be had, NULL if it can. */
static const char *refusal(uint32_t slot) {
    const model_header_t *header = header_of(slot);
    if (!is_bounded(header, (uint32_t)(uintptr_t)k_slots[slot].room)) {
        return "it does not lie where it was linked for";
    }
    if (!is_whole(header)) {
        return "its contents are damaged";
    }
    if (header->layout != TOKAY_MODEL_LAYOUT) {
        return "it was compiled for another firmware";
    }
    if (!leads_inside(header)) {
        return "it leads outside of itself";
    }
    if (header->tried != MODEL_WORD_BLANK && header->proven != 0) {
        return "it stopped before it had proven itself";
    }
    return NULL;
}

static void say(report_t *report, const char *before, uint32_t slot, const char *after, const char *why) {
    char line[128];
    format_t out;
    format_init(&out, line, sizeof line);
    format_text(&out, before);
    format_char(&out, (char)('A' + slot));
    format_text(&out, after);
    format_text(&out, why);
    report_line(report, line);
}

static bool is_there(const model_source_t *source, uint32_t slot) {
    return (source->asked & BIT_OF(slot)) == 0 && header_of(slot)->magic == MODEL_MAGIC;
}

/* The newest slot that has not been asked yet; SLOTS if there is none. */
static uint32_t newest(const model_source_t *source) {
    uint32_t found = SLOTS;
    for (uint32_t slot = 0; slot < SLOTS; slot++) {
        if (is_there(source, slot) && (found == SLOTS || header_of(slot)->sequence > header_of(found)->sequence)) {
            found = slot;
        }
    }
    return found;
}

/* Whether a slot's model may be started: proven, or now noted as tried. */
static bool may_start(model_source_t *source, uint32_t slot, report_t *report) {
    const model_header_t *header = header_of(slot);
    const char *why = refusal(slot);
    if (why == NULL && header->proven != 0) {
        source->trial = header;
        why = hal_flash_clear(&header->tried) ? NULL : "the flash does not take the note that it is tried";
    }
    if (why != NULL) {
        say(report, "Warning: the model in slot ", slot, " is refused: ", why);
        return false;
    }
    say(report, "Model from slot ", slot, header->proven == 0 ? ", proven" : ", on trial", "");
    return true;
}

const model_t *model_source_next(model_source_t *source, report_t *report) {
    source->trial = NULL;
    for (uint32_t slot = newest(source); slot != SLOTS; slot = newest(source)) {
        source->asked |= BIT_OF(slot);
        if (may_start(source, slot, report)) {
            return header_of(slot)->model;
        }
        source->trial = NULL;
    }
    bool asked = (source->asked & OWN_MODEL) != 0;
    source->asked |= OWN_MODEL;
    return asked ? NULL : &generated_model;
}

const nn_kernel_fn *model_source_kernels(void) { return k_kernels; }

/* The arena first, what is left to the audio loop. A model that is too large for it gets nothing. */
model_memory_t model_source_memory(const model_t *wanted) {
    uint32_t bytes = (uint32_t)(uintptr_t)model_memory_bytes;
    uint32_t arena = wanted->plan->arena_bytes;
    if (arena > bytes) {
        return (model_memory_t){0};
    }
    uint32_t used = (arena + 7u) & ~7u;
    return (model_memory_t){model_memory, arena, model_memory + used, used < bytes ? bytes - used : 0};
}

void model_source_inference(model_source_t *source, report_t *report) {
    if (source->trial == NULL || ++source->inferences < MODEL_PROOF_INFERENCES) {
        return;
    }
    bool noted = hal_flash_clear(&source->trial->proven);
    report_line(report, noted ? "The model has proven itself" : "Warning: the flash does not take the note that the "
                                                                "model is proven");
    source->trial = NULL;
}

/* On trial that is reason enough for the model before. */
void model_source_failed(model_source_t *source, report_t *report) {
    if (source->trial != NULL) {
        report_line(report, "Error: the model on trial has failed; going back to the one before");
        hal_uart_flush();
        hal_reset();
    }
}
