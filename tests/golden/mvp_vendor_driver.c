/* Runs programs on the vendor's simulator for test_mvp_vendor.py. The simulator calls back on a small
 * stack of its own, too small for Python. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PROGRAM_WORDS 69

typedef struct job {
    int (*init)(void);
    int (*execute)(const void *program, bool wait);
    void (*wait_for_completion)(void);
    const uint32_t *programs;
    uint32_t count;
    uint8_t *device_memory;
    const uint8_t *memory;
    uint8_t *results;
    uint32_t memory_bytes;
} job_t;

/* What `std::function<bool()>` is to libstdc++. */
typedef struct function {
    void *data[2];
    bool (*manager)(void *, const void *, int);
    bool (*invoker)(const void *);
} function_t;

static bool manage(void *destination, const void *source, int operation)
{
    enum { CLONE = 2 };
    if (operation == CLONE)
        memcpy(destination, source, 2 * sizeof(void *));
    return false;
}

static bool run_all(const void *data)
{
    const job_t *job;
    memcpy(&job, data, sizeof job);
    job->init();
    for (uint32_t n = 0; n < job->count; n++) {
        memcpy(job->device_memory, job->memory, job->memory_bytes);
        job->execute(job->programs + (size_t)n * PROGRAM_WORDS, true);
        job->wait_for_completion();
        memcpy(job->results + (size_t)n * job->memory_bytes, job->device_memory, job->memory_bytes);
    }
    return true;
}

void drive(void (*invoke_in_simulator)(const function_t *), const job_t *job)
{
    function_t function = {{(void *)job, NULL}, manage, run_all};
    invoke_in_simulator(&function);
}
