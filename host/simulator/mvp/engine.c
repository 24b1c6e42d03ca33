/* The MVP's sequencer: walks a program. The same walk serves execution and counting, because addresses do not
 * depend on data. */
#include "engine.h"

#include "alu.h"
#include "half.h"
#include "program.h"
#include "timing.h"

/* Instructions after which a walk is first watched for coming back to where it was. */
#define FIRST_NOTE (1u << 21)

typedef struct engine {
    mvp_t *mvp; /* NULL: count only */
    program_t program;
    timing_state_t timing;
    uint32_t flags, fault_status, fault_address;
    int written; /* register that the previous instruction's ALU wrote, -1: none */
} engine_t;

/* --- indices and loops ---------------------------------------------------------------------------- */

/* An index that is moved past its size comes back to 0; nothing carries. */
static void increment(array_t *array, uint32_t dimensions)
{
    for (unsigned d = 0; dimensions != 0; d++, dimensions >>= 1) {
        dimension_t *dimension = &array->dimension[d];
        if ((dimensions & 1u) == 0)
            continue;
        dimension->index++;
        array->address += dimension->stride;
        if (dimension->index >= dimension->size) {
            array->address -= dimension->index * dimension->stride;
            dimension->index = 0;
        }
    }
}

static void leave_loop(engine_t *e, loop_t *loop)
{
    uint32_t increments = loop->increments & ~loop->resets;
    uint32_t resets = loop->resets;

    loop->active = false;
    loop->count = 0;
    for (unsigned a = 0; (increments | resets) >> (12 + 4 * a) != 0; a++) {
        array_t *array = &e->program.array[a];
        increment(array, field(increments, 12 + 4 * a, 3));
        for (unsigned d = 0; d < MVP_DIMENSIONS; d++) {
            dimension_t *dimension = &array->dimension[d];
            if (field(resets, 12 + 4 * a + d, 1) != 0) {
                array->address -= dimension->index * dimension->stride;
                dimension->index = 0;
            }
        }
        if (a == MVP_ARRAYS - 1)
            break;
    }
}

/* How a program goes on after an instruction. */
typedef enum { GO_ON, JUMP_BACK, HALT } next_t;

/* Follows the loops that end here, the innermost (highest number) first. */
static next_t end_loops(engine_t *e, const instruction_t *in, bool loop_faults_halt)
{
    for (int l = MVP_LOOPS - 1; l >= 0; l--) {
        loop_t *loop = &e->program.loop[l];
        if ((in->ends >> l & 1u) == 0)
            continue;
        if (!loop->active) {
            e->flags |= MVP_IF_LOOPFAULT;
            e->fault_status = e->program.pc | (uint32_t)l << 16;
            if (loop_faults_halt)
                return HALT;
            continue;
        }
        if (loop->count < loop->iterations_less_1) {
            loop->count++;
            e->program.pc = loop->begin;
            return JUMP_BACK;
        }
        leave_loop(e, loop);
        e->flags |= MVP_IF_LOOP0DONE << l;
    }
    return GO_ON;
}

static void begin_loops(engine_t *e, const instruction_t *in)
{
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        loop_t *loop = &e->program.loop[l];
        if ((in->begins >> l & 1u) != 0 && !loop->active) {
            loop->active = true;
            loop->count = 0;
            loop->begin = e->program.pc;
        }
    }
}

/* --- memory ------------------------------------------------------------------------------------------ */

static bool find_window(const mvp_t *mvp, array_t *array, uint32_t address, bool write)
{
    for (uint32_t w = 0; w < mvp->window_count; w++) {
        const mvp_window_t *window = &mvp->windows[w];
        if (address - window->base < window->bytes && (window->writable || !write)) {
            array->window = *window;
            return true;
        }
    }
    return false;
}

/* Host memory of an element, or NULL if it is not wholly inside one window. */
static uint8_t *element(engine_t *e, array_t *array, bool write)
{
    uint32_t offset = array->address - array->window.base;
    if (offset >= array->window.bytes || (write && !array->window.writable)) {
        if (!find_window(e->mvp, array, array->address, write))
            return NULL;
        offset = array->address - array->window.base;
    }
    return array->window.bytes - offset >= array->bytes ? array->window.memory + offset : NULL;
}

static bool fault(engine_t *e, uint32_t flag, uint32_t array, uint32_t bus, uint32_t address)
{
    e->flags |= flag;
    e->fault_status = e->program.pc | array << 8 | bus << 12;
    e->fault_address = address;
    return false;
}

static float scalar_value(uint32_t bits, uint32_t base_type)
{
    if (base_type == BASE_BINARY16)
        return half_widen(bits);
    return base_type == BASE_INT8 ? (float)(int8_t)bits : (float)bits;
}

static bool load(engine_t *e, const stream_t *stream, uint32_t bus)
{
    array_t *array = &e->program.array[stream->array];
    uint32_t scalar = array->complex_type ? array->bytes / 2 : array->bytes;
    uint32_t bits[2] = {0, 0};
    const uint8_t *memory = element(e, array, false);

    if ((array->address & (array->bytes - 1)) != 0)
        return fault(e, MVP_IF_BUSALIGNFAULT, stream->array, bus, array->address);
    if (memory != NULL) {
        bits[0] = memory[0];
        if (scalar == 2)
            bits[0] |= (uint32_t)memory[1] << 8;
        if (array->complex_type) {
            bits[1] = memory[scalar];
            if (scalar == 2)
                bits[1] |= (uint32_t)memory[3] << 8;
        }
    } else {
        uint32_t value = 0;
        const mvp_bus_t *callbacks = &e->mvp->bus;
        if (callbacks->read == NULL ||
            !callbacks->read(callbacks->context, array->address, array->bytes, &value))
            return fault(e, MVP_IF_BUSERRFAULT, stream->array, bus, array->address);
        bits[0] = scalar == 2 ? value & 0xFFFFu : value & 0xFFu;
        if (array->complex_type)
            bits[1] = scalar == 2 ? value >> 16 : value >> 8 & 0xFFu;
    }
    e->program.reg[stream->reg].real = scalar_value(bits[0], array->base_type);
    e->program.reg[stream->reg].imaginary =
        array->complex_type ? scalar_value(bits[1], array->base_type) : 0.0f;
    return true;
}

/* Converts for a store: integers round half to even and saturate. */
static uint32_t stored_bits(engine_t *e, float x, uint32_t base_type)
{
    float low = base_type == BASE_INT8 ? -128.0f : 0.0f;
    float high = base_type == BASE_INT8 ? 127.0f : 255.0f;
    uint32_t magnitude = half_float_bits(x) & 0x7FFFFFFFu;

    if (base_type == BASE_BINARY16)
        return half_narrow(x);
    if (magnitude > HALF_INFINITY_BITS) {
        e->flags |= MVP_IF_STORECONVERTNAN;
        return (uint32_t)high;
    }
    if (magnitude == HALF_INFINITY_BITS)
        e->flags |= MVP_IF_STORECONVERTINF;
    /* 1.5 * 2^23 has an ulp of 1: the sum is rounded to an integer, ties to even. */
    if (x < low || x > high) {
        uint32_t flag = x < low ? MVP_IF_STORECONVERTUF : MVP_IF_STORECONVERTOF;
        if (magnitude != HALF_INFINITY_BITS)
            e->flags |= flag;
        x = x < low ? low : high;
    }
    return half_float_bits(x + 0x1.8p23f) & 0xFFu;
}

static bool store(engine_t *e, const stream_t *stream)
{
    array_t *array = &e->program.array[stream->array];
    uint32_t scalar = array->complex_type ? array->bytes / 2 : array->bytes;
    uint8_t *memory = element(e, array, true);
    uint32_t value;

    if ((array->address & (array->bytes - 1)) != 0)
        return fault(e, MVP_IF_BUSALIGNFAULT, stream->array, 3, array->address);
    value = stored_bits(e, e->program.reg[stream->reg].real, array->base_type);
    if (array->complex_type)
        value |= stored_bits(e, e->program.reg[stream->reg].imaginary, array->base_type) << (8 * scalar);
    if (memory != NULL) {
        for (uint32_t b = 0; b < array->bytes; b++)
            memory[b] = (uint8_t)(value >> (8 * b));
    } else {
        const mvp_bus_t *callbacks = &e->mvp->bus;
        if (callbacks->write == NULL ||
            !callbacks->write(callbacks->context, array->address, array->bytes, value))
            return fault(e, MVP_IF_BUSERRFAULT, stream->array, 3, array->address);
    }
    return true;
}

/* --- execution ------------------------------------------------------------------------------------------ */

/* Zeroing keeps the sign, except that a NaN becomes plus zero. */
static float modified(float x, uint32_t zero, uint32_t negate)
{
    uint32_t bits = half_float_bits(x);
    if (zero != 0 && half_is_nan(x))
        return 0.0f;
    bits &= zero != 0 ? 0x80000000u : 0xFFFFFFFFu;
    return half_from_float_bits(negate != 0 ? bits ^ 0x80000000u : bits);
}

static alu_value_t operand(const engine_t *e, const instruction_t *in, unsigned k)
{
    alu_value_t value = e->program.reg[in->source[k]];
    uint32_t m = in->modifiers[k];
    if (m != 0) {
        value.real = modified(value.real, m & 1u, m & 2u);
        value.imaginary = modified(value.imaginary, m & 4u, m & 8u);
    }
    return value;
}

static bool calculate(engine_t *e, const instruction_t *in)
{
    uint32_t events = 0;
    if (!alu_execute(in->operation, operand(e, in, 0), operand(e, in, 1), operand(e, in, 2),
                     &e->program.reg[in->destination], &events))
        return fault(e, MVP_IF_ALUFAULT, 0, 0, 0);
    if (events != 0)
        e->flags |= (events & HALF_NAN ? MVP_IF_ALUNAN : 0) |
                    (events & HALF_OVERFLOW ? MVP_IF_ALUOF : 0) |
                    (events & HALF_UNDERFLOW ? MVP_IF_ALUUF : 0);
    if (in->operation != ALU_NOOP && in->destination == 0 && e->program.reg[0].real > 0.0f)
        e->flags |= MVP_IF_R0POSREAL;
    return true;
}

static bool valid_stream(engine_t *e, const stream_t *stream, uint32_t bus)
{
    if (stream->array >= MVP_ARRAYS || e->program.array[stream->array].base_type > BASE_BINARY16)
        return fault(e, MVP_IF_ARRAYFAULT, stream->array, bus, 0);
    return true;
}

/* One instruction's streams and ALU: load 0, load 1, ALU, store, each array moved on after its use. */
static bool execute(engine_t *e, const instruction_t *in, bool hazard)
{
    timing_load_t loads[2] = {{false, 0, 0, 0}, {false, 0, 0, 0}};
    uint32_t store_word = 0;

    for (uint32_t s = 0; s < 2; s++) {
        const stream_t *stream = &in->load[s];
        array_t *array;
        if (!stream->on)
            continue;
        if (!valid_stream(e, stream, s + 1) || (e->mvp != NULL && !load(e, stream, s + 1)))
            return false;
        array = &e->program.array[stream->array];
        loads[s].on = true;
        loads[s].array = stream->array;
        loads[s].word = array->address >> 2;
        loads[s].last_word = (array->address + array->bytes - 1) >> 2;
        increment(array, stream->increments);
    }
    if (e->mvp != NULL && !calculate(e, in))
        return false;
    if (in->store.on) {
        array_t *array;
        if (!valid_stream(e, &in->store, 3) || (e->mvp != NULL && !store(e, &in->store)))
            return false;
        array = &e->program.array[in->store.array];
        store_word = array->address >> 2;
        increment(array, in->store.increments);
    }
    timing_step(&e->timing, loads, in->store.on, store_word, hazard, in->operation == ALU_NOOP);
    return true;
}

/* Where a walk goes on: neither the data nor the time decides that. */
typedef struct position {
    uint32_t pc;
    struct {
        uint32_t count, begin;
        bool active;
    } loop[MVP_LOOPS];
    uint32_t index[MVP_ARRAYS][MVP_DIMENSIONS];
} position_t;

static void note_position(const engine_t *e, position_t *position)
{
    position->pc = e->program.pc;
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        position->loop[l].count = e->program.loop[l].count;
        position->loop[l].begin = e->program.loop[l].begin;
        position->loop[l].active = e->program.loop[l].active;
    }
    for (unsigned a = 0; a < MVP_ARRAYS; a++)
        for (unsigned d = 0; d < MVP_DIMENSIONS; d++)
            position->index[a][d] = e->program.array[a].dimension[d].index;
}

/* The indices decide which addresses are reached, and so whether the walk ends in a fault: where nothing
 * is read or written they do not matter. */
static bool is_at(const engine_t *e, const position_t *position)
{
    if (e->program.pc != position->pc)
        return false;
    for (unsigned l = 0; l < MVP_LOOPS; l++) {
        const loop_t *loop = &e->program.loop[l];
        if (loop->count != position->loop[l].count || loop->begin != position->loop[l].begin ||
            loop->active != position->loop[l].active)
            return false;
    }
    for (unsigned a = 0; a < MVP_ARRAYS && e->mvp != NULL; a++)
        for (unsigned d = 0; d < MVP_DIMENSIONS; d++)
            if (e->program.array[a].dimension[d].index != position->index[a][d])
                return false;
    return true;
}

/* Whether the conditions that DEBUGEN names were met by an instruction that raised `flags`. */
static bool at_breakpoint(uint32_t debug_enable, uint32_t flags)
{
    uint32_t wanted = debug_enable & 0x3FDFEu;
    bool any = (debug_enable >> 30 & 1u) != 0 && (flags & wanted) != 0;
    bool all = (debug_enable >> 29 & 1u) != 0 && wanted != 0 && (flags & wanted) == wanted;
    return any || all;
}

static engine_end_t walk(engine_t *e, uint64_t limit, uint32_t debug_enable, bool loop_faults_halt)
{
    engine_end_t end = ENGINE_PAUSED;
    uint32_t raised = 0; /* before the latest instruction, where breakpoints look at one at a time */
    position_t earlier = {.pc = UINT32_MAX};
    uint64_t next_note = FIRST_NOTE;

    timing_begin(&e->timing, e->timing.rule);
    for (uint64_t n = 0; n < limit; n++) {
        const instruction_t *in = &e->program.instruction[e->program.pc];
        bool noop = in->operation == ALU_NOOP;
        bool hazard = !noop && (in->source[0] == e->written || in->source[1] == e->written);
        next_t next;

        begin_loops(e, in);
        if (!execute(e, in, hazard)) {
            end = ENGINE_FAULT;
            break;
        }
        e->written = noop ? -1 : in->destination;
        next = end_loops(e, in, loop_faults_halt);
        if (next == HALT) {
            end = ENGINE_FAULT;
            break;
        }
        if (next == GO_ON) {
            if (in->last || e->program.pc == MVP_INSTRUCTIONS - 1) {
                end = ENGINE_DONE;
                break;
            }
            e->program.pc++;
        }
        if (debug_enable != 0) {
            bool stop = at_breakpoint(debug_enable, e->flags);
            raised |= e->flags;
            e->flags = 0;
            if (stop)
                break;
        } else if (n >= FIRST_NOTE) {
            if (is_at(e, &earlier))
                break; /* where it was: it goes on for ever */
            if (n == next_note) {
                note_position(e, &earlier);
                next_note *= 2;
            }
        }
    }
    e->flags |= raised;
    return end;
}

engine_end_t engine_run(mvp_t *mvp, uint64_t limit, uint32_t *flags, mvp_counters_t *counters)
{
    engine_t e;
    engine_end_t end;

    e.mvp = mvp;
    e.flags = e.fault_status = e.fault_address = 0;
    e.timing.rule = mvp->timing;
    e.written = mvp->timing == MVP_TIMING_VENDOR ? mvp->alu_written : -1;
    program_decode(&e.program, mvp->program, mvp->program_state, mvp->array_index, mvp->loop_state);
    end = walk(&e, limit, mvp->debug_enable, (mvp->config >> 3 & 1u) == 0);
    timing_end(&e.timing);
    program_save(&e.program, mvp);
    mvp->alu_written = e.written;
    if ((e.flags & MVP_IF_FAULTS) != 0) {
        mvp->fault_status = e.fault_status;
        mvp->fault_address = e.fault_address;
    }
    *flags = e.flags;
    *counters = e.timing.counters;
    return end;
}

bool mvp_count_program(const uint32_t words[MVP_PROGRAM_WORDS], mvp_timing_t timing,
                       mvp_counters_t *counters)
{
    static const uint32_t zeros[MVP_LOOPS];
    engine_t e;
    engine_end_t end;

    e.mvp = NULL;
    e.flags = e.fault_status = e.fault_address = 0;
    e.timing.rule = timing;
    e.written = -1;
    program_decode(&e.program, words, 0, zeros, zeros);
    end = walk(&e, ENGINE_LIMIT, 0, true);
    timing_end(&e.timing);
    *counters = e.timing.counters;
    return end == ENGINE_DONE;
}
