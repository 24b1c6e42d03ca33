/* Text commands on the serial line: for a plain terminal. */
#ifndef TOKAY_COMMANDS_H
#define TOKAY_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define COMMAND_LINE_BYTES 48u

typedef enum {
    COMMAND_NONE,    /* an empty line */
    COMMAND_UNKNOWN, /* no such command, or a bad argument */
    COMMAND_HELP,
    COMMAND_MICROPHONE, /* argument: on */
    COMMAND_VERBOSE,    /* argument: on */
    COMMAND_STATISTICS,
    COMMAND_PROFILE, /* argument: repetitions */
    COMMAND_STALL,   /* argument: milliseconds to keep the main loop busy */
    COMMAND_PEEK,    /* argument: address */
    COMMAND_RESET,
} command_kind_t;

typedef struct command {
    command_kind_t kind;
    uint32_t argument;
} command_t;

/* A line in the making; zero to begin with. */
typedef struct command_line {
    char text[COMMAND_LINE_BYTES];
    uint32_t length; /* over the room for a line that is too long */
} command_line_t;

/* Takes a received byte; true when it ended a line, with what the line says in *command. */
bool command_receive(command_line_t *line, uint8_t byte, command_t *command);

/* One line that lists the commands. */
const char *command_help(void);

#ifdef __cplusplus
}
#endif
#endif
