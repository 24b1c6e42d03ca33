/* When the core faults: one readable line on the serial port, the fault LED, and a reset. After three
 * faults in a row, each soon after the reset before it, the part stops instead. */
#include "board_config.h"
#include "chip.h"
#include "registers.h"

void fault_entry(void);
void fault_report(const uint32_t *frame);

extern uint32_t stack_bottom[], stack_top[];

#define RECORD_MAGIC 0x7A6B01F5u
#define FAULTS_IN_A_ROW 3u
#define ALIVE_PERIODS 48u /* of 2^24 cycles: about 10 s */

/* Survives a reset; after power-on it holds anything, but hardly the magic number and its complement. */
static struct {
    uint32_t magic;
    uint32_t in_a_row; /* faults that each came soon after the reset before */
    hal_fault_t fault;
    uint32_t magic_complement;
} s_record __attribute__((section(".noinit")));

static uint32_t s_alive;

static bool record_is_valid(void) {
    return s_record.magic == RECORD_MAGIC && s_record.magic_complement == ~RECORD_MAGIC;
}

const hal_fault_t *hal_last_fault(void) { return record_is_valid() ? &s_record.fault : NULL; }

void hal_clear_fault(void) { s_record.magic = 0; }

void fault_still_alive(void) {
    if (++s_alive == ALIVE_PERIODS) {
        s_record.in_a_row = 0;
    }
}

/* Stays on the stack if there is room for the report below (host.stack checks that it is enough), else
 * starts again at its top: the stack may be what is broken, and nothing returns from here. */
__attribute__((naked)) void fault_entry(void) {
    __asm volatile("mrs r0, msp\n\t"
                   "ldr r2, =stack_top\n\t"
                   "ldr r3, =stack_bottom + 640\n\t"
                   "cmp r0, r3\n\t"
                   "blo 1f\n\t"
                   "cmp r0, r2\n\t"
                   "bls fault_report\n\t"
                   "1: msr msp, r2\n\t"
                   "b fault_report");
}

static char *put_text(char *out, const char *text) {
    while (*text != '\0') {
        *out++ = *text++;
    }
    *out = '\0';
    return out;
}

static char *put_hex(char *out, const char *name, uint32_t value) {
    out = put_text(out, name);
    for (int32_t shift = 28; shift >= 0; shift -= 4) {
        *out++ = "0123456789abcdef"[(value >> shift) & 0xFu];
    }
    *out = '\0';
    return out;
}

static const char *kind_name(uint32_t cfsr, uint32_t number) {
    static const char *const k_names[32] = {
        [0] = "execution from a forbidden address", [1] = "forbidden data access",
        [3] = "memory fault leaving an exception",  [4] = "memory fault entering an exception",
        [8] = "bus fault fetching code",            [9] = "bus fault at a data access",
        [10] = "delayed bus fault at a data access", [11] = "bus fault leaving an exception",
        [12] = "bus fault entering an exception",   [16] = "undefined instruction",
        [17] = "invalid processor state",           [18] = "invalid exception return",
        [19] = "coprocessor not available",         [20] = "stack overflow",
        [24] = "unaligned access",                  [25] = "division by zero",
    };
    for (uint32_t bit = 0; bit < 32; bit++) {
        if ((cfsr & BIT(bit)) != 0 && k_names[bit] != 0) {
            return k_names[bit];
        }
    }
    return number == 2 ? "non-maskable interrupt" : number > 7 ? "unexpected interrupt" : "hard fault";
}

/* Whether the core could push the registers. If they would have gone below the stack's limit, it leaves
 * the stack pointer at that limit and pushes nothing. */
static bool has_frame(const uint32_t *frame, uint32_t cfsr) {
    return (cfsr & (SCB_CFSR_STKERR | SCB_CFSR_MSTKERR)) == 0 && frame > stack_bottom && frame + 8 <= stack_top &&
           ((uintptr_t)frame & 3u) == 0;
}

static void record_fault(const uint32_t *frame) {
    hal_fault_t *fault = &s_record.fault;
    uint32_t in_a_row = record_is_valid() ? s_record.in_a_row : 0;
    *fault = (hal_fault_t){
        .exception = SCB_ICSR & 0x1FFu,
        .uptime_ms = hal_milliseconds(),
        .sp = (uint32_t)(uintptr_t)frame,
        .cfsr = SCB_CFSR,
        .hfsr = SCB_HFSR,
        .mmfar = SCB_MMFAR,
        .bfar = SCB_BFAR,
    };
    if (has_frame(frame, fault->cfsr)) {
        fault->lr = frame[5];
        fault->pc = frame[6];
        fault->xpsr = frame[7];
    }
    s_record.in_a_row = in_a_row + 1u;
    s_record.magic = RECORD_MAGIC;
    s_record.magic_complement = ~RECORD_MAGIC;
}

static void describe(const hal_fault_t *fault, char *line) {
    char *p = put_text(line, "\nFault: ");
    p = put_text(p, kind_name(fault->cfsr, fault->exception));
    p = put_hex(p, " pc=0x", fault->pc);
    p = put_hex(p, " lr=0x", fault->lr);
    if ((fault->cfsr & SCB_CFSR_BFARVALID) != 0) {
        p = put_hex(p, " address=0x", fault->bfar);
    } else if ((fault->cfsr & SCB_CFSR_MMARVALID) != 0) {
        p = put_hex(p, " address=0x", fault->mmfar);
    }
    p = put_hex(p, " CFSR=0x", fault->cfsr);
    p = put_hex(p, " HFSR=0x", fault->hfsr);
    p = put_hex(p, " exception=0x", fault->exception);
    (void)put_text(p, "\n");
}

__attribute__((noreturn, used)) void fault_report(const uint32_t *frame) {
    char line[200];
    (void)core_lock();
    record_fault(frame);
    describe(&s_record.fault, line);
    hal_led_set(HAL_LED_FAULT, true);
    hal_uart_flush();
    eusart_panic(line);

    bool halt = s_record.in_a_row >= FAULTS_IN_A_ROW || (DCB_DHCSR & DCB_DHCSR_DEBUGEN) != 0;
    eusart_panic(halt ? "Halted.\n" : "Restarting.\n");
    hal_uart_flush();
    if (halt) {
        s_record.in_a_row = 0;
        for (;;) {
            __asm volatile("wfi");
        }
    }
    hal_reset();
    for (;;) {
    }
}
