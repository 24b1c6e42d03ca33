/* The keyword spotter's main loop. */
#include "application.h"
#include "hal.h"

int main(void) {
    application_init(hal_init());
    for (;;) {
        if (!application_turn()) {
            hal_sleep();
        }
    }
}
