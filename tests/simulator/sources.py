"""C that several tests put before their own."""

CLOCKS = """
static void clocks(void) {
    SET(0x40008064) = 1 << 20 | 1 << 17 | 1 << 18; SET(0x40008068) = 1 << 16;
    REG(0x4A004080) = 0x580E;
    SET(0x4A004028) = 1 << 24; CLR(0x4A004028) = 1 << 16;
    while (REG(0x4A004058) & 1 << 16) { }
    REG(0x4A004010) = 11 << 24 | 12 << 20 | 32 << 6 | 32;
    CLR(0x4A004028) = 1 << 24; SET(0x4A004028) = 1 << 16;
    while ((REG(0x4A004058) & 0x40010003) != 0x10003) { }
    CLR(0x4001C004) = 1;
    while (REG(0x4001C004) & 2) { }
    REG(0x40010008) = 0xCCF09F00 | (REG(0x0FE08098) & 0x7F);
    REG(0x40008100) = 1;
    REG(0x4001C00C) = 3839 << 16 | 1919; REG(0x4001C008) = 5;
    CLR(0x4001C010) = 7; SET(0x4001C004) = 1;
    while (!(REG(0x4001C010) & 7)) { }
    REG(0x40030004) = 1 << 20;
    SET(0x40008070) = 1 << 10 | 1 << 16;
    REG(0x40008070) = (REG(0x40008070) & ~7) | 2;
}
"""
