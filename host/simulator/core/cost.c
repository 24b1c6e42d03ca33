/* An ESTIMATE of what a basic block costs a Cortex-M33, in cycles. Arm publishes no instruction timings
 * for this core; the table is built from what is public: a three-stage in-order pipeline, single-cycle
 * multiply and multiply-accumulate, a divider of 2 to 11 cycles that ends early, and for what is not
 * stated the published timings of the Cortex-M4, whose pipeline has the same depth.
 *
 *   data processing, moves, DSP/SIMD, MUL/MLA/SMLAD/UMULL/SMLAL   1
 *   SDIV, UDIV                                                    6 (2..11, by operands)
 *   LDR, STR and their kind                                       1, and 1 more if the next instruction
 *                                                                 needs what was loaded
 *   LDRD, STRD                                                    2
 *   LDM, STM, PUSH, POP, VLDM, VSTM of n words                    n + 1
 *   branch taken: fetch again (any change of the flow)            + 2
 *   TBB, TBH                                                      2 (and taken)
 *   VADD, VMUL, VCVT, VMOV, compares                              1, and 1 more if the next needs it
 *   VMLA, VFMA and their kind                                     3
 *   VDIV, VSQRT                                                   14
 *   MRS, MSR 2; DSB, DMB 2; ISB 4
 * Not counted: dual issue of 16-bit pairs (makes silicon faster), misses of the instruction cache and
 * literal loads that miss it (make it slower). Peripherals cost what bus.c says. */
#include "machine.h"

#define TAKEN 2u
#define DIVIDE 6u
#define FP_DIVIDE 14u
#define FP_ACCUMULATE 3u
#define FP(n) (1ull << (16u + (n))) /* S0..S31 behind the core's registers */

struct instruction {
    uint64_t reads, loads; /* registers; `loads`: those whose value comes a cycle late */
    uint32_t cycles, taken;
    uint8_t flags;
};

static uint64_t bit(uint32_t reg) { return 1ull << (reg & 15u); }

static uint32_t population(uint32_t value) { return (uint32_t)__builtin_popcount(value); }

static struct instruction decode_misc16(uint32_t h) {
    struct instruction i = {.cycles = 1};
    if ((h & 0xF600u) == 0xB400u) { /* PUSH, POP */
        i.cycles = 1u + population(h & 0x1FFu);
        i.reads = (h & 0x0800u) != 0 ? bit(13) : bit(13) | (h & 0xFFu);
        i.taken = (h & 0x0900u) == 0x0900u ? TAKEN : 0;
    } else if ((h & 0xF500u) == 0xB100u) { /* CBZ, CBNZ */
        i.reads = bit(h & 7u);
        i.taken = TAKEN;
    } else if ((h & 0xFF0Fu) == 0xBF00u) {
        uint32_t hint = (h >> 4) & 15u;
        i.flags = hint == 3 ? BLOCK_WFI : hint == 2 || hint == 1 ? BLOCK_WFE : hint == 4 ? BLOCK_SEV : 0;
    } else if ((h & 0xFF00u) == 0xB200u || (h & 0xFF00u) == 0xBA00u) { /* extend, reverse */
        i.reads = bit((h >> 3) & 7u);
    }
    return i;
}

static struct instruction decode16(uint32_t h) {
    struct instruction i = {.cycles = 1};
    uint32_t low = h & 7u, mid = (h >> 3) & 7u, high = (h >> 6) & 7u, wide = (h >> 8) & 7u;
    switch (h >> 12) {
    case 0: case 1:
        i.reads = bit(mid) | ((h & 0xFC00u) == 0x1800u ? bit(high) : 0);
        break;
    case 2: case 3:
        i.reads = (h & 0x1800u) != 0 ? bit(wide) : 0;
        break;
    case 4:
        if ((h & 0x0C00u) == 0) { /* data processing */
            i.reads = bit(low) | bit(mid);
        } else if ((h & 0x0C00u) == 0x0400u) { /* high registers, BX, BLX */
            uint32_t destination = low | ((h >> 4) & 8u);
            i.reads = bit((h >> 3) & 15u) | ((h & 0x0300u) < 0x0200u ? bit(destination) : 0);
            i.taken = (h & 0x0300u) == 0x0300u || (destination == 15 && (h & 0x0300u) != 0x0100u) ? TAKEN : 0;
        } else {
            i.loads = bit(wide);
        }
        break;
    case 5: {
        bool store = ((h >> 9) & 7u) < 3;
        i.reads = bit(mid) | bit(high) | (store ? bit(low) : 0);
        i.loads = store ? 0 : bit(low);
        break;
    }
    case 6: case 7: case 8:
        i.reads = bit(mid) | ((h & 0x0800u) == 0 ? bit(low) : 0);
        i.loads = (h & 0x0800u) != 0 ? bit(low) : 0;
        break;
    case 9:
        i.reads = bit(13) | ((h & 0x0800u) == 0 ? bit(wide) : 0);
        i.loads = (h & 0x0800u) != 0 ? bit(wide) : 0;
        break;
    case 11:
        return decode_misc16(h);
    case 12:
        i.cycles = 1u + population(h & 0xFFu);
        i.reads = bit(wide) | ((h & 0x0800u) == 0 ? h & 0xFFu : 0);
        break;
    case 13: case 14:
        i.taken = (h & 0xFF00u) == 0xDF00u ? 0 : TAKEN;
        break;
    default:
        break;
    }
    return i;
}

static struct instruction decode_fp(uint32_t h1, uint32_t h2) {
    struct instruction i = {.cycles = 1, .flags = BLOCK_FPU};
    uint32_t d = ((h2 >> 11) & 30u) | ((h1 >> 6) & 1u), n = ((h1 << 1) & 30u) | ((h2 >> 7) & 1u);
    uint32_t sm = ((h2 << 1) & 30u) | ((h2 >> 5) & 1u), rt = (h2 >> 12) & 15u;
    if ((h1 & 0xFE00u) == 0xEC00u) {
        bool load = (h1 & 0x10u) != 0;
        if ((h1 & 0xFFE0u) == 0xEC40u) { /* VMOV of two core registers */
            i.reads = load ? FP(sm) : bit(rt) | bit(h1);
            i.cycles = 2;
        } else if ((h1 & 0x0120u) == 0x0100u) { /* VLDR, VSTR */
            bool pair = (h2 & 0x0100u) != 0;
            i.cycles = pair ? 2 : 1;
            i.reads = bit(h1) | (load ? 0 : FP(d));
            i.loads = load ? FP(d) : 0;
        } else {
            i.cycles = 1u + (h2 & 0xFFu);
            i.reads = bit(h1);
        }
        return i;
    }
    if ((h2 & 0x10u) != 0) { /* one register between core and FPU */
        i.reads = (h1 & 0x10u) != 0 ? FP(n) : bit(rt);
        return i;
    }
    uint32_t operation = (h1 >> 4) & 0xBu;
    i.reads = FP(n) | FP(sm);
    i.loads = FP(d);
    if ((h1 & 0xFF00u) == 0xFE00u) { /* VSEL, VMAXNM, VMINNM, VRINT, VCVT with a rounding mode */
        return i;
    }
    if (operation == 8) {
        i.cycles = FP_DIVIDE;
    } else if (operation <= 1 || operation == 9 || operation == 10) {
        i.cycles = FP_ACCUMULATE;
        i.reads |= FP(d);
    } else if (operation == 11) {
        i.reads = FP(sm);
        if ((h1 & 15u) == 1 && (h2 & 0xC0u) == 0xC0u) {
            i.cycles = FP_DIVIDE; /* VSQRT */
        } else if ((h1 & 14u) == 4) {
            i.reads = FP(d) | FP(sm); /* compares */
            i.loads = 0;
        } else if ((h2 & 0x40u) == 0) {
            i.reads = 0; /* VMOV of a constant */
        } else if ((h1 & 10u) == 10u) {
            i.reads = FP(d); /* VCVT of fixed point, in its own place */
            if ((h1 & 4u) == 0 && (h2 & 0x80u) != 0) {
                i.flags |= BLOCK_FROM_FIXED; /* from 32 bits: from 16 it is exact */
            }
        }
    }
    return i;
}

static struct instruction decode_branch32(uint32_t h1, uint32_t h2) {
    struct instruction i = {.cycles = 1};
    bool is_branch = (h2 & 0x1000u) != 0 || (h2 & 0x4000u) != 0 || ((h1 >> 7) & 7u) != 7u;
    if (is_branch) {
        i.taken = TAKEN;
    } else if ((h1 & 0xFFF0u) == 0xF3B0u) { /* barriers */
        i.cycles = (h2 & 0xF0u) == 0x60u ? 4 : 2;
    } else if ((h1 & 0xFFF0u) == 0xF3A0u) { /* hints */
        uint32_t hint = h2 & 0xFFu;
        i.flags = hint == 3 ? BLOCK_WFI : hint == 2 || hint == 1 ? BLOCK_WFE : hint == 4 ? BLOCK_SEV : 0;
    } else { /* MRS, MSR */
        i.cycles = 2;
        i.reads = (h1 & 0xFFE0u) == 0xF380u ? bit(h1) : 0;
        if (i.reads != 0) {
            uint32_t to = h2 & 0xFFu;
            i.flags = to == 10u ? BLOCK_STACK_LIMIT : to == 8u || to == 9u ? BLOCK_STACK_POINTER : 0;
        }
    }
    return i;
}

static struct instruction decode32(uint32_t h1, uint32_t h2) {
    struct instruction i = {.cycles = 1};
    uint32_t operation = (h1 >> 4) & 0x7Fu, rt = (h2 >> 12) & 15u;
    bool load = (h1 & 0x10u) != 0;
    if ((h1 & 0xEC00u) == 0xEC00u) {
        return decode_fp(h1, h2);
    }
    switch ((h1 >> 11) & 3u) {
    case 1:
        if ((operation & 0x64u) == 0) { /* LDM, STM */
            i.cycles = 1u + population(h2);
            i.reads = bit(h1) | (load ? 0 : h2);
            i.taken = load && (h2 & 0x8000u) != 0 ? TAKEN : 0;
        } else if ((operation & 0x64u) == 4u) {
            i.reads = bit(h1) | (load ? 0 : bit(rt) | bit(h2 >> 8));
            if ((h1 & 0xFFF0u) == 0xE8D0u && (h2 & 0xFFE0u) == 0xF000u) { /* TBB, TBH */
                i.reads |= bit(h2);
                i.cycles = 2;
                i.taken = TAKEN;
            } else if ((h1 & 0x0120u) != 0) { /* LDRD, STRD */
                i.cycles = 2;
                i.loads = load ? bit(h2 >> 8) : 0;
            } else {
                i.loads = load ? bit(rt) : 0; /* exclusives, acquire and release */
                bool narrow = (h1 & 0xFFF0u) == 0xE8D0u; /* and LDAEX */
                i.flags = (h1 & 0xFFF0u) == 0xE850u || (narrow && (h2 & 0x40u) != 0) ? BLOCK_EXCLUSIVE : 0;
            }
        } else { /* data processing with a shifted register */
            i.reads = ((h1 & 15u) == 15u ? 0 : bit(h1)) | bit(h2);
        }
        break;
    case 2:
        if ((h2 & 0x8000u) != 0) {
            return decode_branch32(h1, h2);
        }
        i.reads = (h1 & 15u) == 15u ? 0 : bit(h1);
        if ((h1 & 0xFBF0u) == 0xF2C0u) { /* MOVT keeps the lower half */
            i.reads = bit(h2 >> 8);
        } else if ((h1 & 0xFBF0u) == 0xF240u) {
            i.reads = 0;
        }
        break;
    default:
        if ((operation & 0x60u) == 0) { /* single loads and stores */
            bool by_register = (h1 & 0x80u) == 0 && (h2 & 0x0FC0u) == 0;
            i.reads = ((h1 & 15u) == 15u ? 0 : bit(h1)) | (by_register ? bit(h2) : 0) | (load ? 0 : bit(rt));
            i.loads = load && rt != 15u ? bit(rt) : 0;
            i.taken = load && rt == 15u && (h1 & 0x60u) == 0x40u ? TAKEN : 0;
        } else if ((operation & 0x70u) == 0x20u) {
            i.reads = ((h1 & 15u) == 15u ? 0 : bit(h1)) | bit(h2);
        } else { /* multiplies and divides */
            i.reads = bit(h1) | bit(h2) | (rt != 15u ? bit(rt) : 0);
            if ((h1 & 0xFFD0u) == 0xFB90u) {
                i.cycles = DIVIDE;
                i.reads = bit(h1) | bit(h2);
            } else if ((operation & 0x78u) == 0x38u) {
                i.reads |= bit(h2 >> 8);
            }
        }
        break;
    }
    return i;
}

void cost_of_block(const uint8_t *code, uint32_t bytes, struct block *block) {
    uint64_t late = 0;
    uint32_t cycles = 0, instructions = 0, taken = 0;
    uint8_t flags = 0;
    for (uint32_t at = 0; at + 2 <= bytes;) {
        uint32_t h1 = (uint32_t)(code[at] | code[at + 1] << 8);
        struct instruction i;
        if (h1 >= 0xE800u && at + 4 <= bytes) {
            i = decode32(h1, (uint32_t)(code[at + 2] | code[at + 3] << 8));
            at += 4;
        } else {
            i = decode16(h1);
            at += 2;
        }
        cycles += i.cycles + ((i.reads & late) != 0 ? 1u : 0u);
        late = i.loads;
        taken = i.taken;
        flags |= i.flags;
        instructions++;
    }
    block->cycles = (uint16_t)(cycles < UINT16_MAX ? cycles : UINT16_MAX);
    block->instructions = (uint16_t)instructions;
    block->taken = (uint8_t)taken;
    block->flags = flags;
    block->bytes = (uint16_t)bytes;
}

uint32_t simulator_block_cost(const uint8_t *code, uint32_t bytes, uint32_t *instructions) {
    struct block block = {0};
    cost_of_block(code, bytes, &block);
    *instructions = block.instructions;
    return block.cycles;
}
