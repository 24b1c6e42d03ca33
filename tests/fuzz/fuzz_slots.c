/* libFuzzer target: any bytes in the two slots that model_slots.c looks for models in.
 *
 * The slots lie where the linker puts them, with unmapped memory around; what a slot has behind its image is
 * poisoned. Beside what the sanitizers see: a model that is offered is whole and within its slot, the newest
 * comes first and the firmware's own last, and no word of flash is written but the two that may be.
 *
 * The first byte of the input says what is made of the rest: bytes for both slots, or changes to two good
 * models, which get past the checksum where it is made good afterwards. */
#define _GNU_SOURCE
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crc32.h"
#include "hal.h"
#include "model_source.h"
#include "nn_kernels.h"

#define SLOTS 2
#define CHANGE_BYTES 8
enum { RAW = 1, SEAL_A = 2, FLASH_FAILS = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const uint8_t model_slot_a[], model_slot_a_bytes[], model_slot_b[];
uint8_t model_memory[MEMORY_BYTES] __attribute__((aligned(8)));
const model_t generated_model = {.name = "own"};

static uint8_t *slots[SLOTS];
static size_t room;
static bool flash_fails;
static unsigned resets;

/* A model that is taken as it is. */
typedef struct good {
    model_header_t header;
    model_t model;
    nn_plan_t plan;
    frontend_config_t frontend;
    detector_settings_t detector;
    uint8_t weights[200];
} good_t;

static void require(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

/* ---- What the parser needs of the rest of the firmware ---- */

#define NN_KERNEL(name)                                  \
    nn_status_t nn_kernel_##name(const nn_call_t *call)  \
    {                                                    \
        (void)call;                                      \
        abort();                                         \
    }
#include "nn_kernels.def"
#undef NN_KERNEL

void report_line(report_t *report, const char *text)
{
    (void)report;
    require(strlen(text) > 0, "something is said");
}

void hal_uart_flush(void)
{
}

void hal_reset(void)
{
    resets++;
}

bool hal_flash_clear(const uint32_t *word)
{
    bool known = false;
    for (int k = 0; k < SLOTS; k++) {
        const model_header_t *header = (const void *)slots[k];
        known = known || word == &header->tried || word == &header->proven;
    }
    require(known, "no other word of flash is written");
    if (!flash_fails)
        *(uint32_t *)(uintptr_t)word = 0;
    return !flash_fails;
}

/* ---- What lies in the slots ---- */

static void map_slots(void)
{
    const uint8_t *wanted[SLOTS] = {model_slot_a, model_slot_b};
    room = (size_t)(uintptr_t)model_slot_a_bytes;
    for (int k = 0; k < SLOTS && !slots[k]; k++) {
        slots[k] = mmap((void *)(uintptr_t)wanted[k], room, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        require(slots[k] == wanted[k], "a slot is where it was linked");
    }
}

static void put_good(int slot)
{
    good_t *image = (void *)slots[slot];
    *image = (good_t){
        .header = {.magic = MODEL_MAGIC, .tried = MODEL_WORD_BLANK, .proven = MODEL_WORD_BLANK,
                   .layout = TOKAY_MODEL_LAYOUT, .address = (uint32_t)(uintptr_t)image, .bytes = sizeof *image,
                   .sequence = (uint32_t)slot, .model = &image->model},
        .model = {.name = "good", .plan = &image->plan, .frontend = &image->frontend, .detector = &image->detector},
        .plan = {.arena_bytes = 4096},
    };
}

/* Each change: where (its top bit the slot), how, and a number, which may count from the slot's start. */
static void change(const uint8_t *data, size_t size)
{
    for (; size >= CHANGE_BYTES; data += CHANGE_BYTES, size -= CHANGE_BYTES) {
        uint16_t where;
        uint32_t number;
        memcpy(&where, data, sizeof where);
        memcpy(&number, data + 4, sizeof number);
        uint8_t *slot = slots[where >> 15];
        uint64_t value = number + (data[2] & 1 ? (uint64_t)(uintptr_t)slot : 0) + ((uint64_t)(data[2] >> 4) << 32);
        size_t width = data[2] & 2 ? 8 : data[2] & 4 ? 4 : 1;
        memcpy(slot + (where & 0x7FFFu) % (sizeof(good_t) - width) / width * width, &value, width);
    }
}

static void put_raw(const uint8_t *data, size_t size)
{
    for (int k = 0; k < SLOTS; k++) {
        size_t count = k == 0 ? size / 2 : size - size / 2;
        memcpy(slots[k], data + (k == 0 ? 0 : size / 2), count < room ? count : room);
    }
}

static bool is_long_enough(const model_header_t *header)
{
    return header->bytes >= sizeof *header && header->bytes <= room;
}

static uint32_t crc_of(const model_header_t *header)
{
    size_t from = offsetof(model_header_t, layout);
    return crc32_update(0, (const uint8_t *)header + from, header->bytes - from);
}

/* ---- What must hold ---- */

static void require_inside(const model_header_t *header, const void *what, size_t bytes)
{
    uintptr_t from = (uintptr_t)header + sizeof *header, end = (uintptr_t)header + header->bytes;
    require((uintptr_t)what >= from && (uintptr_t)what <= end && bytes <= end - (uintptr_t)what,
            "what a model leads to lies within it");
    uint8_t *copy = malloc(bytes);
    memcpy(copy, what, bytes);
    free(copy);
}

static void check_offered(const model_source_t *source, const model_t *model, const model_header_t *header,
                          bool was_tried, bool was_proven)
{
    require(header->magic == MODEL_MAGIC && header->layout == TOKAY_MODEL_LAYOUT &&
                header->address == (uint32_t)(uintptr_t)header && is_long_enough(header),
            "the header is good");
    require(crc_of(header) == header->crc, "the contents are those that were written");
    require_inside(header, model, sizeof *model);
    require_inside(header, model->plan, sizeof *model->plan);
    require_inside(header, model->frontend, sizeof *model->frontend);
    require_inside(header, model->detector, sizeof *model->detector);
    require(was_proven || (!was_tried && header->tried == 0), "a model on trial is noted as tried");
    require(source->trial == (was_proven ? NULL : header), "a model that is not proven is on trial, and no other");
    model_memory_t memory = model_source_memory(model);
    require((memory.arena == NULL) == (model->plan->arena_bytes > MEMORY_BYTES), "a model too large gets nothing");
    require(memory.arena == NULL ||
                (memory.arena_bytes == model->plan->arena_bytes && (uintptr_t)memory.loop % 8 == 0 &&
                 (memory.loop_bytes == 0 ||
                  (uint8_t *)memory.loop + memory.loop_bytes == model_memory + MEMORY_BYTES)),
            "arena and loop lie in the memory there is");
}

static void fail(model_source_t *source, report_t *report)
{
    unsigned before = resets;
    model_source_failed(source, report);
    require((resets != before) == (source->trial != NULL), "of a model on trial alone a failure is its end");
}

static void prove(model_source_t *source, report_t *report)
{
    const model_header_t *header = source->trial;
    for (uint32_t k = 0; k < MODEL_PROOF_INFERENCES; k++) {
        require(source->trial == header, "so many inferences and no fewer are a proof");
        model_source_inference(source, report);
    }
    require(source->trial == NULL && (header == NULL || flash_fails || header->proven == 0), "a model is proven");
}

static void ask(bool was_tried[SLOTS], bool was_proven[SLOTS], int until)
{
    model_source_t source = {0};
    report_t report = {0};
    uint32_t before = UINT32_MAX;
    for (int asked = 0; asked <= SLOTS; asked++) {
        const model_t *model = model_source_next(&source, &report);
        if (model == &generated_model) {
            require(source.trial == NULL, "the firmware's own model is not on trial");
            require(model_source_next(&source, &report) == NULL, "the firmware's own model is the last");
            return;
        }
        require(model != NULL, "the firmware's own model is offered");
        int slot = (uintptr_t)model >= (uintptr_t)slots[1] && (uintptr_t)model < (uintptr_t)slots[1] + room;
        const model_header_t *header = (const void *)slots[slot];
        check_offered(&source, model, header, was_tried[slot], was_proven[slot]);
        require(header->sequence <= before, "the newest comes first");
        before = header->sequence;
        fail(&source, &report);
        if (asked == until) {
            prove(&source, &report);
            return;
        }
    }
    require(false, "a slot was offered twice");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bool tried[SLOTS], proven[SLOTS];
    uint8_t how = data[0];
    map_slots();
    for (int k = 0; k < SLOTS; k++) {
        ASAN_UNPOISON_MEMORY_REGION(slots[k], room);
        memset(slots[k], 0xFF, room);
        put_good(k);
    }
    if (how & RAW)
        put_raw(data + 1, size - 1);
    else
        change(data + 1, size - 1);
    flash_fails = (how & FLASH_FAILS) != 0;
    for (int k = 0; k < SLOTS; k++) {
        model_header_t *header = (void *)slots[k];
        if (how & SEAL_A << k && is_long_enough(header))
            header->crc = crc_of(header);
        size_t used = is_long_enough(header) ? header->bytes : sizeof *header;
        ASAN_POISON_MEMORY_REGION(slots[k] + used, room - used);
    }
    for (int start = 0; start < 2; start++) { /* and once more, after what the first has noted */
        for (int k = 0; k < SLOTS; k++) {
            const model_header_t *header = (const void *)slots[k];
            tried[k] = header->tried != MODEL_WORD_BLANK;
            proven[k] = header->proven == 0;
        }
        ask(tried, proven, how >> 6);
    }
    return 0;
}
