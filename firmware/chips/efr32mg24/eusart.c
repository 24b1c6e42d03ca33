/* The serial port: two rings between the main loop and EUSART0's interrupts. Nothing here blocks,
 * except hal_uart_flush, which says so. */
#include "board_config.h"
#include "chip.h"
#include "registers.h"

/* Powers of two: the indices run freely. An answer waits behind all that is queued, which a slow line carries
 * within the time that hosts wait for one only if it is less. */
#define TX_RING_BYTES (BOARD_VCOM_BAUD < 38400u ? 2048u : 4096u)
#define RX_RING_BYTES 1024u
#define OVERSAMPLING 16u

static uint8_t s_tx[TX_RING_BYTES], s_rx[RX_RING_BYTES];
static volatile uint32_t s_tx_head, s_tx_tail, s_rx_head, s_rx_tail;

void eusart_init(void) {
    REG_SET(CMU_CLKEN1) = CMU_CLKEN1_EUSART0;
    CMU_EUSART0CLKCTRL = CMU_EUSART0CLKCTRL_EM01GRPCCLK;
    pin_mode(BOARD_VCOM_TX_PORT, BOARD_VCOM_TX_PIN, PIN_OUTPUT, true);
    pin_mode(BOARD_VCOM_RX_PORT, BOARD_VCOM_RX_PIN, PIN_INPUT, true);
    EUSART0_CFG0 = 0; /* asynchronous, 16 times oversampled */
    EUSART0_FRAMECFG = EUSART0_FRAMECFG_8N1;
    EUSART0_EN = 1;
    /* In 1/256, of which the low three bits are not there. */
    uint64_t divider = 256u * (uint64_t)clocks_serial_hz() / (OVERSAMPLING * BOARD_VCOM_BAUD) - 256u;
    EUSART0_CLKDIV = (uint32_t)divider & ~7u;
    while (EUSART0_SYNCBUSY != 0) {
    }
    EUSART0_CMD = EUSART0_CMD_RXEN | EUSART0_CMD_TXEN;
    while (EUSART0_SYNCBUSY != 0) {
    }
    GPIO_EUSART0_TXROUTE = (BOARD_VCOM_TX_PIN << 16) | BOARD_VCOM_TX_PORT;
    GPIO_EUSART0_RXROUTE = (BOARD_VCOM_RX_PIN << 16) | BOARD_VCOM_RX_PORT;
    GPIO_EUSART0_ROUTEEN = GPIO_ROUTEEN_TX | GPIO_ROUTEEN_RX;
    REG_SET(EUSART0_IEN) = EUSART0_IF_RXFL;
    irq_enable(IRQ_EUSART0_RX);
    irq_enable(IRQ_EUSART0_TX);
}

/* Moves bytes from the ring to the FIFO. The flag is cleared first and the FIFO filled to the brim
 * after, so that an interrupt follows whether the flag follows the level or only its rise. Interrupts
 * are off. */
static void transmit(void) {
    REG_CLR(EUSART0_IF) = EUSART0_IF_TXFL;
    uint32_t tail = s_tx_tail;
    while (tail != s_tx_head && (EUSART0_STATUS & EUSART0_STATUS_TXFL) != 0) {
        EUSART0_TXDATA = s_tx[tail++ % TX_RING_BYTES];
    }
    s_tx_tail = tail;
    if (tail == s_tx_head) {
        REG_CLR(EUSART0_IEN) = EUSART0_IF_TXFL;
    } else {
        REG_SET(EUSART0_IEN) = EUSART0_IF_TXFL;
    }
}

static void transmit_locked(void) {
    uint32_t mask = core_lock();
    transmit();
    core_unlock(mask);
}

void eusart_tx_interrupt(void) {
    time_count_interrupt();
    transmit_locked();
}

void eusart_rx_interrupt(void) {
    time_count_interrupt();
    REG_CLR(EUSART0_IF) = EUSART0_IF_RXFL;
    while ((EUSART0_STATUS & EUSART0_STATUS_RXFL) != 0) {
        uint8_t byte = (uint8_t)EUSART0_RXDATA;
        if (s_rx_head - s_rx_tail < RX_RING_BYTES) {
            s_rx[s_rx_head % RX_RING_BYTES] = byte;
            s_rx_head++;
        }
    }
    time_wake();
}

size_t hal_uart_space(void) { return TX_RING_BYTES - (s_tx_head - s_tx_tail); }

size_t hal_uart_write(const uint8_t *bytes, size_t count) {
    size_t room = hal_uart_space();
    if (count > room) {
        count = room;
    }
    uint32_t head = s_tx_head;
    for (size_t i = 0; i < count; i++) {
        s_tx[(head + i) % TX_RING_BYTES] = bytes[i];
    }
    uint32_t mask = core_lock();
    s_tx_head = head + (uint32_t)count;
    transmit();
    core_unlock(mask);
    return count;
}

size_t hal_uart_read(uint8_t *bytes, size_t count) {
    size_t taken = 0;
    uint32_t tail = s_rx_tail;
    while (taken < count && tail != s_rx_head) {
        bytes[taken++] = s_rx[tail++ % RX_RING_BYTES];
    }
    s_rx_tail = tail;
    return taken;
}

static bool is_ready(void) { return (CMU_CLKEN1 & CMU_CLKEN1_EUSART0) != 0 && EUSART0_EN != 0; }

void hal_uart_flush(void) {
    if (!is_ready()) {
        return;
    }
    while (s_tx_tail != s_tx_head) {
        transmit_locked();
    }
    while ((EUSART0_STATUS & EUSART0_STATUS_TXIDLE) == 0) {
    }
}

void eusart_panic(const char *text) {
    for (; is_ready() && *text != '\0'; text++) {
        while ((EUSART0_STATUS & EUSART0_STATUS_TXFL) == 0) {
        }
        EUSART0_TXDATA = (uint8_t)*text;
    }
}
