/* The accelerator's last fault in words. */
#include "format.h"
#include "nn_mvp.h"
#include "report.h"

static const struct {
    uint32_t flag;
    const char *text;
} k_faults[] = {
    {1u << 24, "loop fault"},      {1u << 25, "bus error"},   {1u << 26, "misaligned access"},
    {1u << 27, "ALU fault"},       {1u << 28, "array fault"},
};

static const char *const k_buses[] = {"", ", load stream 0", ", load stream 1", ", store stream"};

static void number(format_t *out, const char *name, uint32_t value) {
    format_text(out, name);
    format_unsigned(out, value, 0);
}

void report_accelerator_fault(report_t *report, const nn_t *nn) {
    const nn_mvp_t *mvp = nn->accelerator;
    char line[160];
    format_t out;
    if (mvp == NULL) {
        return;
    }
    const nn_mvp_fault_t *fault = &mvp->fault;
    format_init(&out, line, sizeof line);
    number(&out, "Error: accelerator, layer ", fault->layer);
    number(&out, " program ", fault->program);
    format_text(&out, ":");
    for (uint32_t i = 0; i < sizeof k_faults / sizeof k_faults[0]; i++) {
        if ((fault->flags & k_faults[i].flag) != 0) {
            format_char(&out, ' ');
            format_text(&out, k_faults[i].text);
        }
    }
    if (fault->flags == 0) {
        format_text(&out, " did not end");
    }
    number(&out, " at instruction ", fault->status & 7u);
    number(&out, ", array ", fault->status >> 8 & 7u);
    format_text(&out, k_buses[fault->status >> 12 & 3u]);
    format_text(&out, ", address 0x");
    format_hex(&out, fault->address, 8);
    report_line(report, line);
}
