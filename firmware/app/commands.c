/* See commands.h. */
#include "commands.h"

#include <stddef.h>

#include "profiler.h"

typedef enum { ARGUMENT_NONE, ARGUMENT_SWITCH, ARGUMENT_NUMBER } argument_t;

typedef struct entry {
    const char *name;
    command_kind_t kind;
    argument_t argument;
    uint16_t default_number; /* of a number that is left out; 0: it may not be */
    uint16_t highest_number; /* from 1 up to this; 0: any */
} entry_t;

/* Nothing is served meanwhile, and nothing but a reset would end it. */
#define LONGEST_STALL_MS 10000u

static const entry_t k_commands[] = {
    {"help", COMMAND_HELP, ARGUMENT_NONE, 0, 0},
    {"mic", COMMAND_MICROPHONE, ARGUMENT_SWITCH, 0, 0},
    {"verbose", COMMAND_VERBOSE, ARGUMENT_SWITCH, 0, 0},
    {"stats", COMMAND_STATISTICS, ARGUMENT_NONE, 0, 0},
    {"profile", COMMAND_PROFILE, ARGUMENT_NUMBER, 10, PROFILER_MAX_REPETITIONS},
    {"stall", COMMAND_STALL, ARGUMENT_NUMBER, 0, LONGEST_STALL_MS},
    {"peek", COMMAND_PEEK, ARGUMENT_NUMBER, 0, 0},
    {"reset", COMMAND_RESET, ARGUMENT_NONE, 0, 0},
};

const char *command_help(void) {
    return "Commands: help, mic on|off, verbose on|off, stats, profile [1-1000], stall MS, peek ADDRESS, reset";
}

/* Whether `text` begins with `word`, up to a space or the end; *rest is what follows. */
static bool starts_with(const char *text, const char *word, const char **rest) {
    while (*word != '\0' && *text == *word) {
        text++;
        word++;
    }
    if (*word != '\0' || (*text != '\0' && *text != ' ')) {
        return false;
    }
    while (*text == ' ') {
        text++;
    }
    *rest = text;
    return true;
}

static uint32_t digit_value(char c) {
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0');
    }
    if (c >= 'a' && c <= 'f') {
        return (uint32_t)(c - 'a') + 10u;
    }
    return c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10u : 255u;
}

/* Decimal, or hexadecimal after 0x; false for anything else and for more than 32 bits. */
static bool parse_number(const char *text, uint32_t *value) {
    uint32_t base = 10;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    }
    if (*text == '\0') {
        return false;
    }
    uint64_t number = 0;
    for (; *text != '\0'; text++) {
        uint32_t digit = digit_value(*text);
        number = number * base + digit;
        if (digit >= base || number > UINT32_MAX) {
            return false;
        }
    }
    *value = (uint32_t)number;
    return true;
}

static bool parse_argument(const entry_t *entry, const char *text, uint32_t *value) {
    const char *rest;
    switch (entry->argument) {
    case ARGUMENT_SWITCH:
        *value = starts_with(text, "on", &rest) ? 1u : 0u;
        return (*value != 0 || starts_with(text, "off", &rest)) && *rest == '\0';
    case ARGUMENT_NUMBER:
        *value = entry->default_number;
        return (*text == '\0' && entry->default_number != 0) ||
               (parse_number(text, value) && (entry->highest_number == 0 || *value - 1u < entry->highest_number));
    default:
        return *text == '\0';
    }
}

/* What a line (without its end) says. */
static command_t parse(const char *line) {
    command_t command = {COMMAND_UNKNOWN, 0};
    const char *rest;
    while (*line == ' ') {
        line++;
    }
    if (*line == '\0') {
        command.kind = COMMAND_NONE;
        return command;
    }
    for (size_t i = 0; i < sizeof k_commands / sizeof k_commands[0]; i++) {
        const entry_t *entry = &k_commands[i];
        if (starts_with(line, entry->name, &rest) && parse_argument(entry, rest, &command.argument)) {
            command.kind = entry->kind;
            break;
        }
    }
    return command;
}

bool command_receive(command_line_t *line, uint8_t byte, command_t *command) {
    if (byte != '\n' && byte != '\r') {
        if (line->length < COMMAND_LINE_BYTES - 1u) {
            line->text[line->length] = (char)byte;
        }
        line->length += line->length < COMMAND_LINE_BYTES ? 1u : 0u;
        return false;
    }
    bool fits = line->length < COMMAND_LINE_BYTES;
    line->text[fits ? line->length : 0u] = '\0';
    *command = parse(line->text);
    if (!fits) {
        command->kind = COMMAND_UNKNOWN;
    }
    line->length = 0;
    return true;
}
