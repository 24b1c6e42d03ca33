/* Pins and LEDs. */
#include "board_config.h"
#include "chip.h"
#include "registers.h"

static void pin_write(uint32_t port, uint32_t pin, bool level) {
    if (level) {
        REG_SET(GPIO_DOUT(port)) = BIT(pin);
    } else {
        REG_CLR(GPIO_DOUT(port)) = BIT(pin);
    }
}

void pin_mode(uint32_t port, uint32_t pin, pin_mode_t mode, bool level) {
    pin_write(port, pin, level);
    volatile uint32_t *reg = pin < 8u ? &GPIO_MODEL(port) : &GPIO_MODEH(port);
    uint32_t shift = 4u * (pin % 8u);
    *reg = (*reg & ~(0xFu << shift)) | ((uint32_t)mode << shift);
}

typedef struct led {
    uint8_t port, pin;
} led_t;

static const led_t k_leds[] = {
    [HAL_LED_DETECTED] = {BOARD_LED_DETECTED_PORT, BOARD_LED_DETECTED_PIN},
    [HAL_LED_ACTIVITY] = {BOARD_LED_ACTIVITY_PORT, BOARD_LED_ACTIVITY_PIN},
    [HAL_LED_FAULT] = {BOARD_LED_FAULT_PORT, BOARD_LED_FAULT_PIN},
};

void leds_init(void) {
    REG_SET(CMU_CLKEN0) = CMU_CLKEN0_GPIO;
    for (uint32_t i = 0; i < sizeof k_leds / sizeof k_leds[0]; i++) {
        pin_mode(k_leds[i].port, k_leds[i].pin, PIN_OUTPUT, !BOARD_LED_LEVEL_ON);
    }
}

void hal_led_set(hal_led_t led, bool on) {
    pin_write(k_leds[led].port, k_leds[led].pin, on == BOARD_LED_LEVEL_ON);
}
