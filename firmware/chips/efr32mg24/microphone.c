/* The I2S microphone: USART0 clocks it, LDMA writes its left channel into a ring of blocks without the
 * core's help, and the main loop reads from there. What nobody reads in time is counted to the sample.
 *
 * The ring's position comes from the DMA's link register, so a late interrupt loses no count. */
#include "board_config.h"

#if BOARD_HAS_MICROPHONE

#include "chip.h"
#include "registers.h"

#define BLOCK_SAMPLES 128u
#define BLOCKS 32u
#define RING_SAMPLES (BLOCK_SAMPLES * BLOCKS)
#define SCK_PER_FRAME 64u /* two slots of 32 bits, of which the upper 16 are kept */
#define CHANNEL_LEFT 0u
#define CHANNEL_RIGHT 1u
#define CHANNEL_MASK (BIT(CHANNEL_LEFT) | BIT(CHANNEL_RIGHT))

typedef struct descriptor {
    uint32_t control, source, destination, link;
} descriptor_t;

static int16_t s_ring[RING_SAMPLES];
static descriptor_t s_left[BLOCKS], s_right;
static uint16_t s_ignored; /* where the right channel goes */
static volatile uint32_t s_blocks; /* whole blocks captured since start */
static volatile uint32_t s_in_flight;
static volatile uint32_t s_fifo_losses;
static volatile bool s_dma_error;
static uint32_t s_read, s_lost; /* in samples since start */
static bool s_running;

static uint32_t link_to(const descriptor_t *next) { return (uint32_t)(uintptr_t)next | LDMA_LINK_LINK; }

static void descriptors_init(void) {
    const uint32_t common = LDMA_CTRL_SRCINC_NONE | LDMA_CTRL_SIZE_HALFWORD;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        s_left[i].control =
            common | LDMA_CTRL_XFERCNT(BLOCK_SAMPLES) | LDMA_CTRL_DSTINC_ONE | LDMA_CTRL_DONEIEN;
        s_left[i].source = USART0_RXDOUBLE_ADDRESS;
        s_left[i].destination = (uint32_t)(uintptr_t)&s_ring[i * BLOCK_SAMPLES];
        s_left[i].link = link_to(&s_left[(i + 1u) % BLOCKS]);
    }
    s_right.control = common | LDMA_CTRL_XFERCNT(2048u) | LDMA_CTRL_DSTINC_NONE;
    s_right.source = USART0_RXDOUBLE_ADDRESS;
    s_right.destination = (uint32_t)(uintptr_t)&s_ignored;
    s_right.link = link_to(&s_right);
}

static void dma_start(void) {
    REG_SET(CMU_CLKEN0) = CMU_CLKEN0_LDMA | CMU_CLKEN0_LDMAXBAR;
    LDMA_EN = 1;
    LDMA_CTRL = 0; /* no fixed priorities: the channels take turns */
    LDMAXBAR_REQSEL(CHANNEL_LEFT) = LDMAXBAR_USART0_RXDATAV;
    LDMAXBAR_REQSEL(CHANNEL_RIGHT) = LDMAXBAR_USART0_RXDATAVRIGHT;
    for (uint32_t channel = 0; channel < 2; channel++) {
        LDMA_CH_CFG(channel) = 0;
        LDMA_CH_LOOP(channel) = 0;
    }
    LDMA_CH_LINK(CHANNEL_LEFT) = (uint32_t)(uintptr_t)&s_left[0] & LDMA_LINK_ADDRESS_MASK;
    LDMA_CH_LINK(CHANNEL_RIGHT) = (uint32_t)(uintptr_t)&s_right & LDMA_LINK_ADDRESS_MASK;
    REG_CLR(LDMA_CHDONE) = CHANNEL_MASK;
    REG_CLR(LDMA_IF) = CHANNEL_MASK | LDMA_IF_ERROR;
    REG_SET(LDMA_IEN) = BIT(CHANNEL_LEFT) | LDMA_IF_ERROR;
    LDMA_LINKLOAD = CHANNEL_MASK;
    irq_enable(IRQ_LDMA);
}

static void usart_start(uint32_t divider) {
    REG_SET(CMU_CLKEN0) = CMU_CLKEN0_USART0;
    USART0_EN = 1;
    USART0_CTRL = USART0_CTRL_SYNC | USART0_CTRL_MSBF | USART0_CTRL_AUTOTX;
    USART0_FRAME = USART0_FRAME_16_BITS;
    USART0_CLKDIV = (divider - 1u) << 8;
    USART0_CMD = USART0_CMD_MASTEREN | USART0_CMD_CLEARRX | USART0_CMD_CLEARTX;
    USART0_I2SCTRL = USART0_I2SCTRL_EN | USART0_I2SCTRL_DELAY | USART0_I2SCTRL_W32D16 | USART0_I2SCTRL_DMASPLIT;
    pin_mode(BOARD_MICROPHONE_DATA_PORT, BOARD_MICROPHONE_DATA_PIN, PIN_INPUT, false);
    pin_mode(BOARD_MICROPHONE_CLOCK_PORT, BOARD_MICROPHONE_CLOCK_PIN, PIN_OUTPUT, false);
    pin_mode(BOARD_MICROPHONE_WORD_SELECT_PORT, BOARD_MICROPHONE_WORD_SELECT_PIN, PIN_OUTPUT, false);
    GPIO_USART0_RXROUTE = (BOARD_MICROPHONE_DATA_PIN << 16) | BOARD_MICROPHONE_DATA_PORT;
    GPIO_USART0_CLKROUTE = (BOARD_MICROPHONE_CLOCK_PIN << 16) | BOARD_MICROPHONE_CLOCK_PORT;
    GPIO_USART0_CSROUTE = (BOARD_MICROPHONE_WORD_SELECT_PIN << 16) | BOARD_MICROPHONE_WORD_SELECT_PORT;
    GPIO_USART0_ROUTEEN = GPIO_ROUTEEN_RX | GPIO_ROUTEEN_CLK | GPIO_ROUTEEN_CS;
    REG_CLR(USART0_IF) = USART0_IF_RXOF;
    REG_SET(USART0_IEN) = USART0_IF_RXOF;
    irq_enable(IRQ_USART0_RX);
    USART0_CMD = USART0_CMD_RXEN | USART0_CMD_TXEN;
}

/* Takes note of the blocks that the DMA has finished since the last call. Interrupts are off. */
static void capture_update(void) {
    uint32_t next = ((LDMA_CH_LINK(CHANNEL_LEFT) & LDMA_LINK_ADDRESS_MASK) - (uint32_t)(uintptr_t)s_left) /
                    (uint32_t)sizeof(descriptor_t);
    uint32_t in_flight = (next + BLOCKS - 1u) % BLOCKS;
    s_blocks += (in_flight + BLOCKS - s_in_flight) % BLOCKS;
    s_in_flight = in_flight;
}

static uint32_t captured_samples(void) {
    uint32_t mask = core_lock();
    if (s_running) {
        capture_update();
    }
    uint32_t samples = s_blocks * BLOCK_SAMPLES;
    core_unlock(mask);
    return samples;
}

void microphone_dma_interrupt(void) {
    time_count_interrupt();
    uint32_t flags = LDMA_IF & (CHANNEL_MASK | LDMA_IF_ERROR);
    REG_CLR(LDMA_IF) = flags;
    if ((flags & LDMA_IF_ERROR) != 0) {
        s_dma_error = true;
    }
    if (s_running) {
        capture_update();
    }
    time_wake();
}

void microphone_usart_interrupt(void) {
    time_count_interrupt();
    REG_CLR(USART0_IF) = USART0_IF_RXOF;
    s_fifo_losses++; /* at least one sample: the FIFO does not count */
}

hal_status_t hal_microphone_start(uint32_t sample_rate_hz, uint32_t *actual_rate_hz) {
    hal_microphone_stop();
    if (sample_rate_hz < BOARD_MICROPHONE_MINIMUM_HZ || sample_rate_hz > BOARD_MICROPHONE_MAXIMUM_HZ) {
        return HAL_ERROR_SAMPLE_RATE;
    }
    /* Only whole dividers: whether the fractional bits act in synchronous mode is not documented. */
    uint32_t per_frame = clocks_peripheral_hz() / (2u * SCK_PER_FRAME);
    uint32_t divider = (per_frame + sample_rate_hz / 2u) / sample_rate_hz;
    uint32_t actual = (per_frame + divider / 2u) / divider;
    uint32_t error = actual > sample_rate_hz ? actual - sample_rate_hz : sample_rate_hz - actual;
    *actual_rate_hz = actual;
    if (error * 100u > sample_rate_hz) {
        return HAL_ERROR_SAMPLE_RATE;
    }
    s_blocks = 0;
    s_in_flight = 0;
    s_fifo_losses = 0;
    s_dma_error = false;
    s_lost = 0;
    s_read = BOARD_MICROPHONE_WAKE_UP_FRAMES; /* what comes before is the microphone settling */
    descriptors_init();
    pin_mode(BOARD_MICROPHONE_POWER_PORT, BOARD_MICROPHONE_POWER_PIN, PIN_OUTPUT, true);
    dma_start();
    s_running = true;
    usart_start(divider);
    return HAL_OK;
}

void hal_microphone_stop(void) {
    if (!s_running) {
        return;
    }
    irq_disable(IRQ_LDMA);
    irq_disable(IRQ_USART0_RX);
    s_running = false;
    USART0_CMD = USART0_CMD_RXDIS | USART0_CMD_TXDIS | USART0_CMD_MASTERDIS;
    LDMA_CHDIS = CHANNEL_MASK;
    while ((LDMA_CHSTATUS & CHANNEL_MASK) != 0) {
    }
    USART0_I2SCTRL = 0;
    USART0_EN = 0;
    GPIO_USART0_ROUTEEN = 0;
    pin_mode(BOARD_MICROPHONE_POWER_PORT, BOARD_MICROPHONE_POWER_PIN, PIN_OUTPUT, false);
}

/* The first sample that the DMA is neither overwriting nor has overwritten. */
static uint32_t oldest_sample(uint32_t captured) { return captured + BLOCK_SAMPLES - RING_SAMPLES; }

/* Moves the reading position past what is gone, and counts it. */
static void skip_lost(uint32_t captured) {
    int32_t lost = (int32_t)(oldest_sample(captured) - s_read);
    if (lost > 0) {
        s_read += (uint32_t)lost;
        s_lost += (uint32_t)lost;
    }
}

size_t hal_microphone_available(void) {
    uint32_t captured = captured_samples();
    skip_lost(captured);
    int32_t available = (int32_t)(captured - s_read);
    return available > 0 ? (size_t)available : 0;
}

size_t hal_microphone_read(int16_t *samples, size_t count) {
    for (;;) {
        size_t available = hal_microphone_available();
        size_t taken = count < available ? count : available;
        uint32_t start = s_read;
        for (size_t i = 0; i < taken; i++) {
            samples[i] = s_ring[(start + i) % RING_SAMPLES];
        }
        /* Had the DMA come round meanwhile, some of the copy would be newer audio: take it again. */
        skip_lost(captured_samples());
        if (s_read == start) {
            s_read = start + (uint32_t)taken;
            return taken;
        }
    }
}

uint32_t hal_microphone_overruns(void) { return s_lost + s_fifo_losses; }

bool hal_microphone_failed(void) { return s_dma_error; }

#endif
