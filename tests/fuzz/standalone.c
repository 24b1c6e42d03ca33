/* Drives a libFuzzer target without libFuzzer: usage PROGRAM INPUTS SEED FILE...
 *
 * Changes the given files at random, without knowing what code they reach. For compilers that have
 * sanitizers but no fuzzer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INPUT 1500

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;

static uint32_t any(uint32_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

static size_t change(uint8_t *data, size_t size)
{
    static const uint8_t telling[] = {0, 1, 2, 0x0A, 0x41, 0x7F, 0x80, 0x81, 0xFE, 0xFF};
    uint32_t at = size ? any((uint32_t)size) : 0;
    switch (any(5)) {
    case 0:
        if (size)
            data[at] ^= (uint8_t)(1u << any(8));
        return size;
    case 1:
        if (size)
            data[at] = telling[any(sizeof telling)];
        return size;
    case 2:
        return at;
    case 3: { /* repeat a piece */
        size_t count = size ? any((uint32_t)(size - at)) + 1u : 0;
        if (!size || size + count > MAX_INPUT)
            return size;
        memmove(data + at + count, data + at, size - at);
        return size + count;
    }
    default:
        if (size == MAX_INPUT)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)any(256);
        return size + 1;
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    long inputs = strtol(argv[1], NULL, 10);
    state = 0x9E3779B97F4A7C15u ^ strtoull(argv[2], NULL, 10);
    for (long k = 0; k < inputs; k++) {
        uint8_t data[MAX_INPUT];
        FILE *file = fopen(argv[3 + (uint32_t)k % (uint32_t)(argc - 3)], "rb");
        if (!file)
            return 2;
        size_t size = fread(data, 1, sizeof data, file);
        fclose(file);
        for (uint32_t changes = any(6); changes > 0; changes--)
            size = change(data, size);
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    printf("%ld inputs\n", inputs);
    return 0;
}
