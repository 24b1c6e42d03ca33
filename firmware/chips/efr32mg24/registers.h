/* The EFR32MG24's registers that this firmware touches, at their secure addresses (the part is left in
 * its reset state, where everything is secure), and the Cortex-M33's own. */
#ifndef TOKAY_EFR32MG24_REGISTERS_H
#define TOKAY_EFR32MG24_REGISTERS_H

#include <stdint.h>

#define REG32(address) (*(volatile uint32_t *)(uintptr_t)(address))
/* Every peripheral register has aliases whose written ones set or clear its bits. */
#define REG_SET(reg) (*(volatile uint32_t *)((uintptr_t)&(reg) + 0x1000u))
#define REG_CLR(reg) (*(volatile uint32_t *)((uintptr_t)&(reg) + 0x2000u))
#define BIT(n) (1u << (n))

/* ---- Cortex-M33 ---- */
#define SYST_CSR REG32(0xE000E010u)
#define SYST_RVR REG32(0xE000E014u)
#define SYST_CVR REG32(0xE000E018u)
#define SYST_MASK 0xFFFFFFu
#define SYST_CSR_ENABLE BIT(0)
#define SYST_CSR_TICKINT BIT(1)
#define SYST_CSR_CLKSOURCE BIT(2) /* the core's clock */

#define NVIC_ISER(n) REG32(0xE000E100u + 4u * (n))
#define NVIC_ICER(n) REG32(0xE000E180u + 4u * (n))
#define NVIC_ICPR(n) REG32(0xE000E280u + 4u * (n))

#define SCB_ICSR REG32(0xE000ED04u)
#define SCB_ICSR_PENDSTSET BIT(26)
#define SCB_VTOR REG32(0xE000ED08u)
#define SCB_AIRCR REG32(0xE000ED0Cu)
#define SCB_AIRCR_RESET 0x05FA0004u /* key and SYSRESETREQ */
#define SCB_CCR REG32(0xE000ED14u)
#define SCB_CCR_BFHFNMIGN BIT(8)
#define SCB_SHCSR REG32(0xE000ED24u)
#define SCB_SHCSR_FAULTS (BIT(16) | BIT(17) | BIT(18)) /* memory, bus and usage fault enables */
#define SCB_CFSR REG32(0xE000ED28u)
#define SCB_CFSR_MSTKERR BIT(4)
#define SCB_CFSR_MMARVALID BIT(7)
#define SCB_CFSR_BUS_FAULTS (0xFFu << 8)
#define SCB_CFSR_STKERR BIT(12)
#define SCB_CFSR_BFARVALID BIT(15)
#define SCB_HFSR REG32(0xE000ED2Cu)
#define SCB_MMFAR REG32(0xE000ED34u)
#define SCB_BFAR REG32(0xE000ED38u)
#define SCB_CPACR REG32(0xE000ED88u)
#define SCB_CPACR_FPU (0xFu << 20)
#define DCB_DHCSR REG32(0xE000EDF0u)
#define DCB_DHCSR_DEBUGEN BIT(0)
#define FPU_FPCCR REG32(0xE000EF34u)
#define FPU_FPCCR_ASPEN BIT(31)
#define FPU_FPCCR_LSPEN BIT(30)

enum {
    IRQ_USART0_RX = 9,
    IRQ_EUSART0_RX = 11,
    IRQ_EUSART0_TX = 12,
    IRQ_MVP = 15,
    IRQ_LDMA = 21,
    IRQ_COUNT = 76,
};

/* ---- CMU: clock management ---- */
#define CMU_BASE 0x40008000u
#define CMU_CLKEN0 REG32(CMU_BASE + 0x064u)
#define CMU_CLKEN0_LDMA BIT(0)
#define CMU_CLKEN0_LDMAXBAR BIT(1)
#define CMU_CLKEN0_USART0 BIT(9)
#define CMU_CLKEN0_DPLL0 BIT(17)
#define CMU_CLKEN0_HFRCO0 BIT(18)
#define CMU_CLKEN0_HFXO0 BIT(20)
#define CMU_CLKEN0_GPIO BIT(26)
#define CMU_CLKEN1 REG32(CMU_BASE + 0x068u)
#define CMU_CLKEN1_MSC BIT(16)
#define CMU_CLKEN1_EUSART0 BIT(22)
#define CMU_CLKEN1_MVP BIT(30)
#define CMU_SYSCLKCTRL REG32(CMU_BASE + 0x070u)
#define CMU_SYSCLKCTRL_CLKSEL_MASK 0x7u
#define CMU_SYSCLKCTRL_CLKSEL_HFRCODPLL 2u
#define CMU_SYSCLKCTRL_PCLKPRESC_DIV2 BIT(10)
#define CMU_SYSCLKCTRL_RHCLKPRESC_DIV2 BIT(16)
#define CMU_DPLLREFCLKCTRL REG32(CMU_BASE + 0x100u)
#define CMU_DPLLREFCLKCTRL_HFXO 1u
#define CMU_EM01GRPCCLKCTRL REG32(CMU_BASE + 0x128u)
#define CMU_EM01GRPCCLKCTRL_HFRCODPLL 1u
#define CMU_EM01GRPCCLKCTRL_FSRCO 3u
#define CMU_EUSART0CLKCTRL REG32(CMU_BASE + 0x220u)
#define CMU_EUSART0CLKCTRL_EM01GRPCCLK 1u

/* ---- HFXO: crystal oscillator ---- */
#define HFXO_BASE 0x4A004000u
#define HFXO_XTALCFG REG32(HFXO_BASE + 0x010u)
#define HFXO_XTALCTRL REG32(HFXO_BASE + 0x018u)
#define HFXO_XTALCTRL_COREBIASANA 60u          /* the core's bias to begin with, as after reset */
#define HFXO_XTALCTRL_CTUNEFIXANA (3u << 24)   /* fixed capacitance on both pins, as after reset */
#define HFXO_XTALCTRL_SKIPCOREBIASOPT BIT(31)
#define HFXO_CFG REG32(HFXO_BASE + 0x020u)
#define HFXO_CTRL REG32(HFXO_BASE + 0x028u)
#define HFXO_CTRL_FORCEEN BIT(16)
#define HFXO_CTRL_DISONDEMAND BIT(24)
#define HFXO_STATUS REG32(HFXO_BASE + 0x058u)
#define HFXO_STATUS_RDY BIT(0)
#define HFXO_STATUS_COREBIASOPTRDY BIT(1)
#define HFXO_STATUS_ENS BIT(16)
#define HFXO_STATUS_SYNCBUSY BIT(30)
#define HFXO_LOCK REG32(HFXO_BASE + 0x080u)
#define HFXO_LOCK_KEY 0x580Eu

/* ---- HFRCO and DPLL ---- */
#define HFRCO_BASE 0x40010000u
#define HFRCO_CAL REG32(HFRCO_BASE + 0x008u)
#define HFRCO_STATUS REG32(HFRCO_BASE + 0x00Cu)
#define HFRCO_STATUS_FREQBSY BIT(1)
#define HFRCO_STATUS_SYNCBUSY BIT(2)
#define DPLL_BASE 0x4001C000u
#define DPLL_EN REG32(DPLL_BASE + 0x004u)
#define DPLL_EN_EN BIT(0)
#define DPLL_EN_DISABLING BIT(1)
#define DPLL_CFG REG32(DPLL_BASE + 0x008u)
#define DPLL_CFG_MODE_PLL BIT(0)
#define DPLL_CFG_AUTORECOVER BIT(2)
#define DPLL_CFG1 REG32(DPLL_BASE + 0x00Cu)
#define DPLL_IF REG32(DPLL_BASE + 0x010u)
#define DPLL_IF_LOCK BIT(0)
#define DPLL_IF_LOCKFAIL (BIT(1) | BIT(2))

/* ---- MSC: flash; DEVINFO and the user's page ---- */
#define MSC_BASE 0x40030000u
#define MSC_READCTRL REG32(MSC_BASE + 0x004u)
#define MSC_READCTRL_MODE_MASK (3u << 20)
#define MSC_READCTRL_MODE_WS1 (1u << 20)
#define MSC_WRITECTRL REG32(MSC_BASE + 0x00Cu)
#define MSC_WRITECTRL_WREN BIT(0)
#define MSC_WRITECMD REG32(MSC_BASE + 0x010u)
#define MSC_WRITECMD_ERASEPAGE BIT(1)
#define MSC_WRITECMD_WRITEEND BIT(2)
#define MSC_ADDRB REG32(MSC_BASE + 0x014u)
#define MSC_WDATA REG32(MSC_BASE + 0x018u)
#define MSC_STATUS REG32(MSC_BASE + 0x01Cu)
#define MSC_STATUS_BUSY BIT(0)
#define MSC_STATUS_LOCKED BIT(1)
#define MSC_STATUS_INVADDR BIT(2)
#define MSC_STATUS_WDATAREADY BIT(3)
#define MSC_STATUS_PENDING BIT(5)
#define MSC_STATUS_TIMEOUT BIT(6)
#define MSC_STATUS_REGLOCK BIT(16)
#define MSC_LOCK REG32(MSC_BASE + 0x03Cu)
#define MSC_LOCK_KEY 0x1B71u
#define DEVINFO_HFRCODPLLCAL_80MHZ REG32(0x0FE08098u)
#define USERDATA_HFXO_CTUNE (*(volatile uint16_t *)(uintptr_t)0x0FE00100u)

/* ---- GPIO ---- */
#define GPIO_BASE 0x4003C000u
#define GPIO_MODEL(port) REG32(GPIO_BASE + 0x034u + 0x30u * (port))
#define GPIO_MODEH(port) REG32(GPIO_BASE + 0x03Cu + 0x30u * (port))
#define GPIO_DOUT(port) REG32(GPIO_BASE + 0x040u + 0x30u * (port))
#define GPIO_EUSART0_ROUTEEN REG32(GPIO_BASE + 0x494u)
#define GPIO_EUSART0_RXROUTE REG32(GPIO_BASE + 0x4A4u)
#define GPIO_EUSART0_TXROUTE REG32(GPIO_BASE + 0x4ACu)
#define GPIO_USART0_ROUTEEN REG32(GPIO_BASE + 0x720u)
#define GPIO_USART0_CSROUTE REG32(GPIO_BASE + 0x724u)
#define GPIO_USART0_RXROUTE REG32(GPIO_BASE + 0x730u)
#define GPIO_USART0_CLKROUTE REG32(GPIO_BASE + 0x734u)
#define GPIO_ROUTEEN_CS BIT(0)
#define GPIO_ROUTEEN_RX BIT(2)
#define GPIO_ROUTEEN_CLK BIT(3)
#define GPIO_ROUTEEN_TX BIT(4)

/* ---- EUSART0: the serial port ---- */
#define EUSART0_BASE 0x4B010000u
#define EUSART0_EN REG32(EUSART0_BASE + 0x004u)
#define EUSART0_CFG0 REG32(EUSART0_BASE + 0x008u)
#define EUSART0_FRAMECFG REG32(EUSART0_BASE + 0x014u)
#define EUSART0_FRAMECFG_8N1 0x1002u
#define EUSART0_CLKDIV REG32(EUSART0_BASE + 0x030u)
#define EUSART0_CMD REG32(EUSART0_BASE + 0x038u)
#define EUSART0_CMD_RXEN BIT(0)
#define EUSART0_CMD_TXEN BIT(2)
#define EUSART0_RXDATA REG32(EUSART0_BASE + 0x03Cu)
#define EUSART0_TXDATA REG32(EUSART0_BASE + 0x044u)
#define EUSART0_STATUS REG32(EUSART0_BASE + 0x048u)
#define EUSART0_STATUS_TXFL BIT(6) /* room in the transmit FIFO */
#define EUSART0_STATUS_RXFL BIT(7) /* data in the receive FIFO */
#define EUSART0_STATUS_TXIDLE BIT(13)
#define EUSART0_IF REG32(EUSART0_BASE + 0x04Cu)
#define EUSART0_IF_TXFL BIT(1)
#define EUSART0_IF_RXFL BIT(2)
#define EUSART0_IEN REG32(EUSART0_BASE + 0x050u)
#define EUSART0_SYNCBUSY REG32(EUSART0_BASE + 0x054u)

/* ---- USART0: the microphone's I2S ---- */
#define USART0_BASE 0x4005C000u
#define USART0_EN REG32(USART0_BASE + 0x004u)
#define USART0_CTRL REG32(USART0_BASE + 0x008u)
#define USART0_CTRL_SYNC BIT(0)
#define USART0_CTRL_MSBF BIT(10)
#define USART0_CTRL_AUTOTX BIT(29)
#define USART0_FRAME REG32(USART0_BASE + 0x00Cu)
#define USART0_FRAME_16_BITS (13u | (1u << 12))
#define USART0_CMD REG32(USART0_BASE + 0x014u)
#define USART0_CMD_RXEN BIT(0)
#define USART0_CMD_RXDIS BIT(1)
#define USART0_CMD_TXEN BIT(2)
#define USART0_CMD_TXDIS BIT(3)
#define USART0_CMD_MASTEREN BIT(4)
#define USART0_CMD_MASTERDIS BIT(5)
#define USART0_CMD_CLEARTX BIT(10)
#define USART0_CMD_CLEARRX BIT(11)
#define USART0_CLKDIV REG32(USART0_BASE + 0x01Cu)
#define USART0_RXDOUBLE_ADDRESS (USART0_BASE + 0x02Cu)
#define USART0_IF REG32(USART0_BASE + 0x048u)
#define USART0_IF_RXOF BIT(4)
#define USART0_IEN REG32(USART0_BASE + 0x04Cu)
#define USART0_I2SCTRL REG32(USART0_BASE + 0x054u)
#define USART0_I2SCTRL_EN BIT(0)
#define USART0_I2SCTRL_DMASPLIT BIT(3)
#define USART0_I2SCTRL_DELAY BIT(4)
#define USART0_I2SCTRL_W32D16 (3u << 8)

/* ---- MVP: the accelerator ---- */
#define MVP_BASE 0x4D000000u
#define MVP_IPVERSION REG32(MVP_BASE + 0x000u)
#define MVP_EN REG32(MVP_BASE + 0x004u)
#define MVP_EN_EN BIT(0)
#define MVP_EN_DISABLING BIT(1)
#define MVP_CFG REG32(MVP_BASE + 0x00Cu)
#define MVP_CFG_PERFCNTEN BIT(0)
#define MVP_CFG_PERF0_RUN (0u << 16)
#define MVP_CFG_PERF1_STALL (2u << 20)
#define MVP_STATUS REG32(MVP_BASE + 0x010u)
#define MVP_STATUS_IDLE BIT(2)
#define MVP_PERF0CNT REG32(MVP_BASE + 0x014u)
#define MVP_PERF1CNT REG32(MVP_BASE + 0x018u)
#define MVP_IF REG32(MVP_BASE + 0x01Cu)
#define MVP_IF_PROGDONE BIT(0)
#define MVP_IF_FAULTS (0x1Fu << 24)
#define MVP_IF_ENDS (MVP_IF_PROGDONE | MVP_IF_FAULTS) /* each ends a program */
#define MVP_IEN REG32(MVP_BASE + 0x020u)
#define MVP_FAULTSTATUS REG32(MVP_BASE + 0x024u)
#define MVP_FAULTADDR REG32(MVP_BASE + 0x028u)
#define MVP_PROGRAM(n) REG32(MVP_BASE + 0x064u + 4u * (n))
#define MVP_CMD REG32(MVP_BASE + 0x174u)
#define MVP_CMD_HALT BIT(1)

/* ---- LDMA and its request crossbar ---- */
#define LDMA_BASE 0x40040000u
#define LDMA_EN REG32(LDMA_BASE + 0x004u)
#define LDMA_CTRL REG32(LDMA_BASE + 0x008u)
#define LDMA_CHDIS REG32(LDMA_BASE + 0x028u)
#define LDMA_CHSTATUS REG32(LDMA_BASE + 0x02Cu)
#define LDMA_CHDONE REG32(LDMA_BASE + 0x034u)
#define LDMA_LINKLOAD REG32(LDMA_BASE + 0x048u)
#define LDMA_IF REG32(LDMA_BASE + 0x050u)
#define LDMA_IEN REG32(LDMA_BASE + 0x054u)
#define LDMA_IF_ERROR BIT(31)
#define LDMA_CH_CFG(n) REG32(LDMA_BASE + 0x05Cu + 0x30u * (n))
#define LDMA_CH_LOOP(n) REG32(LDMA_BASE + 0x060u + 0x30u * (n))
#define LDMA_CH_LINK(n) REG32(LDMA_BASE + 0x070u + 0x30u * (n))
#define LDMA_LINK_LINK BIT(1)
#define LDMA_LINK_ADDRESS_MASK 0xFFFFFFFCu
#define LDMA_CTRL_XFERCNT(n) ((uint32_t)((n) - 1u) << 4)
#define LDMA_CTRL_DONEIEN BIT(20)
#define LDMA_CTRL_SRCINC_NONE (3u << 24)
#define LDMA_CTRL_SIZE_HALFWORD (1u << 26)
#define LDMA_CTRL_DSTINC_ONE (0u << 28)
#define LDMA_CTRL_DSTINC_NONE (3u << 28)
#define LDMAXBAR_REQSEL(n) REG32(0x40044000u + 0x004u + 4u * (n))
#define LDMAXBAR_USART0_RXDATAV (4u << 16)
#define LDMAXBAR_USART0_RXDATAVRIGHT ((4u << 16) | 1u)

/* ---- Interrupt masking ---- */
static inline uint32_t core_lock(void) {
    uint32_t mask;
    __asm volatile("mrs %0, primask\n\tcpsid i" : "=r"(mask)::"memory");
    return mask;
}

static inline void core_unlock(uint32_t mask) { __asm volatile("msr primask, %0" ::"r"(mask) : "memory"); }

static inline void core_barrier(void) { __asm volatile("dsb\n\tisb" ::: "memory"); }

static inline void irq_enable(uint32_t number) {
    NVIC_ICPR(number / 32u) = BIT(number % 32u);
    NVIC_ISER(number / 32u) = BIT(number % 32u);
}

static inline void irq_disable(uint32_t number) {
    NVIC_ICER(number / 32u) = BIT(number % 32u);
    core_barrier();
}

#endif
