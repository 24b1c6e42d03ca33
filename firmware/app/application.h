/* The keyword spotter: puts the audio loop, the serial port, the LEDs and the commands together. */
#ifndef TOKAY_APPLICATION_H
#define TOKAY_APPLICATION_H

#include "hal.h"

/* Starts everything and reports it. If no model can run, only commands are served. */
void application_init(hal_status_t clocks);

/* One turn of the main loop; false if there was nothing to do, so that the core may sleep. */
bool application_turn(void);

#endif
