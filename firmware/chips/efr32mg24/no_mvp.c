/* For images without the accelerator's kernel: every layer runs on the core. */
#include "chip.h"

uint32_t mvp_waited(void) { return 0; }

void *hal_accelerator(void) { return NULL; }
