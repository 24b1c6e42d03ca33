"""Programs for the MVP accelerator: an assembler that knows its limits, a disassembler, the kernels."""
