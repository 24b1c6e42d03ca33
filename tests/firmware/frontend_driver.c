/* Runs the generated front end over int16 samples from stdin, in chunks of varying sizes, and writes
 * the uint16 columns to stdout. Memory and chunks are allocated to the byte, so that a sanitizer sees
 * any step beside them. Exit status 3: frontend_init took memory that is too small.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend_settings.h"

int main(void) {
  size_t bytes = frontend_state_bytes(&model_frontend_config);
  if (bytes != FRONTEND_STATE_BYTES) return 2;
  void *memory = malloc(bytes);
  if (frontend_init(&model_frontend_config, memory, bytes - 1)) return 3;
  frontend_t *fe = frontend_init(&model_frontend_config, memory, bytes);
  if (!fe) return 4;

  uint32_t random = 1;
  static int16_t buffer[2000];
  for (;;) {
    random = random * 1664525u + 1013904223u;
    size_t count = fread(buffer, sizeof *buffer, (random >> 16) % 2000 + 1, stdin);
    if (!count) break;
    int16_t *chunk = malloc(count * sizeof *chunk);
    memcpy(chunk, buffer, count * sizeof *chunk);
    for (size_t done = 0; done < count;) {
      const uint16_t *column;
      done += frontend_process(fe, chunk + done, count - done, &column);
      if (column) fwrite(column, sizeof *column, FRONTEND_CHANNELS, stdout);
    }
    free(chunk);
  }
  free(memory);
  return 0;
}
