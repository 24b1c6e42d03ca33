/* The firmware's kernel on the accelerator's model: what the chip's driver is to its registers. Programs
 * find the arena at the chip's RAM and constants at its flash. */
#include "nn_mvp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "mvp.h"

#define ARENA_BASE 0x20000000u
#define CONSTANTS_BASE 0x08000000u

typedef struct driver {
    nn_mvp_t nn; /* first: a pointer to it is one to the driver */
    mvp_t model;
    uint32_t words[MVP_PROGRAM_WORDS];
} driver_t;

static nn_status_t wait(nn_mvp_t *nn)
{
    driver_t *driver = (driver_t *)nn;
    mvp_counters_t run;
    const uint32_t flags = mvp_run_program(&driver->model, driver->words, &run);

    nn->counters.programs++;
    nn->counters.run_cycles += (uint32_t)run.cycles;
    nn->counters.stall_cycles += (uint32_t)run.stalls;
    /* A program leaves its results in the ALU's registers. */
    for (uint32_t r = 0; r < MVP_REGISTERS; r++)
        driver->words[r] = mvp_read(&driver->model, MVP_ALU0REGSTATE + 4 * r);
    if ((flags & MVP_IF_FAULTS) == 0 && (flags & MVP_IF_PROGDONE) != 0) return NN_OK;
    nn->fault.flags = flags;
    nn->fault.status = mvp_read(&driver->model, MVP_FAULTSTATUS);
    nn->fault.address = mvp_read(&driver->model, MVP_FAULTADDR);
    return NN_ERROR_ACCELERATOR;
}

static uint32_t address(nn_mvp_t *nn, const void *memory, uint32_t bytes, int32_t constant)
{
    driver_t *driver = (driver_t *)nn;
    const uint32_t base = constant ? CONSTANTS_BASE : ARENA_BASE;
    if (!constant) mvp_remove_windows(&driver->model);
    (void)mvp_add_window(&driver->model, base, bytes, (uint8_t *)(uintptr_t)memory, !constant);
    return base;
}

/* host/runtime.py calls these. */
nn_mvp_t *nn_mvp_model_create(int timing);
void nn_mvp_model_destroy(nn_mvp_t *nn);

/* An accelerator for nn_init, whose cycles are counted by one of mvp_timing_t; NULL if there is no memory. */
nn_mvp_t *nn_mvp_model_create(int timing)
{
    driver_t *driver = calloc(1, sizeof *driver);
    if (driver == NULL) return NULL;
    mvp_init(&driver->model, (mvp_timing_t)timing, true);
    driver->nn = (nn_mvp_t){.words = driver->words, .wait = wait, .address = address, .counting = 1};
    return &driver->nn;
}

void nn_mvp_model_destroy(nn_mvp_t *nn)
{
    free(nn);
}
