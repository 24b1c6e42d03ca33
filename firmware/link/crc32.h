/* CRC-32 as in Ethernet and zlib: reflected polynomial 0xEDB88320, start and end inverted. */
#ifndef TOKAY_CRC32_H
#define TOKAY_CRC32_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Continues a CRC over more bytes; begin with 0. */
uint32_t crc32_update(uint32_t crc, const uint8_t *bytes, size_t count);

#ifdef __cplusplus
}
#endif
#endif
