/* What a debug probe does to the chip from outside: single accesses through the core's bus, a reset that
 * leaves the core at its first instruction, one instruction. Debug registers of the core itself (DHCSR and
 * its like) belong to the probe's side, host/flashing/core_debug.py. */
#include "machine.h"

/* An access that nothing answers is the debugger's error, not the firmware's. */
static bool answered(struct machine *m, bool ok) {
    bool fine = ok && m->stop == STOP_NONE;
    m->stop = STOP_NONE;
    return fine;
}

bool simulator_debug_attach(struct machine *m) {
    return m->api.mem_protect(m->uc, RAM_BASE, RAM_BYTES, UC_PROT_ALL) == 0;
}

bool simulator_debug_read(struct machine *m, uint32_t address, uint32_t bytes, uint32_t *value) {
    machine_update_time(m);
    if (address - SYSTEM_SPACE_BASE < SYSTEM_SPACE_BYTES) {
        *value = system_space_read(m, address & ~3u) >> (8u * (address & 3u));
        return true;
    }
    machine_advance_peripherals(m);
    bus_bring_up(m, address);
    return answered(m, machine_bus_read(m, address, bytes, value));
}

bool simulator_debug_write(struct machine *m, uint32_t address, uint32_t bytes, uint32_t value) {
    machine_update_time(m);
    if (address - SYSTEM_SPACE_BASE < SYSTEM_SPACE_BYTES) {
        if (bytes != 4) {
            return false;
        }
        system_space_write(m, address, value);
        m->deadline = 0;
        if (m->reset_requested) {
            simulator_reset_core(m);
        }
        return answered(m, true);
    }
    machine_advance_peripherals(m);
    bus_bring_up(m, address);
    return answered(m, machine_bus_write(m, address, bytes, value));
}

int simulator_step(struct machine *m) {
    m->single = true;
    int result = simulator_run(m, 1, NEVER);
    m->single = false;
    return result;
}
