/* What the files of this chip share: clocks, pins, time, the serial port's low level. */
#ifndef TOKAY_EFR32MG24_CHIP_H
#define TOKAY_EFR32MG24_CHIP_H

#include "hal.h"

/* Starts the crystal, locks the PLL and moves the core to it. On failure the core keeps running from
 * the 20 MHz RC oscillator of the reset state and HAL_ERROR_CLOCK is returned. */
hal_status_t clocks_init(void);
uint32_t clocks_core_hz(void);
uint32_t clocks_peripheral_hz(void); /* PCLK: USART0 */
uint32_t clocks_serial_hz(void);     /* EM01GRPCCLK: EUSART0 */

typedef enum { PIN_DISABLED = 0, PIN_INPUT = 1, PIN_OUTPUT = 4 } pin_mode_t;
void pin_mode(uint32_t port, uint32_t pin, pin_mode_t mode, bool level);

void leds_init(void);

void eusart_init(void);
/* Sends text by polling, with interrupts off: for faults. */
void eusart_panic(const char *text);

void time_init(void);
uint64_t time_cycles(void);
/* Marks that something happened that the main loop may wait for; called by interrupt handlers. */
void time_wake(void);
/* Counts an interrupt; called by every handler but SysTick's. They do not interrupt each other. */
void time_count_interrupt(void);

/* Cycles slept for the accelerator since start, wrapping; 0 in images without it. */
uint32_t mvp_waited(void);

/* Called every 2^24 cycles. */
void fault_still_alive(void);

/* Interrupt handlers, named in the vector table. */
void systick_interrupt(void);
void eusart_rx_interrupt(void);
void eusart_tx_interrupt(void);
void microphone_dma_interrupt(void);
void microphone_usart_interrupt(void);

#endif
