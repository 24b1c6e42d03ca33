/* Loads the Unicorn library and looks up what the simulator calls. */
#include "unicorn_api.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

bool unicorn_load(struct unicorn_api *api, const char *path, char *error, size_t error_bytes) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(error, error_bytes, "%s", dlerror());
        return false;
    }
    const struct {
        const char *name;
        void *slot;
    } wanted[] = {
        {"uc_open", &api->open}, {"uc_close", &api->close},
        {"uc_ctl", &api->ctl}, {"uc_reg_read", &api->reg_read},
        {"uc_reg_write", &api->reg_write}, {"uc_emu_start", &api->emu_start},
        {"uc_emu_stop", &api->emu_stop}, {"uc_hook_add", &api->hook_add},
        {"uc_mem_map_ptr", &api->mem_map_ptr}, {"uc_mem_protect", &api->mem_protect},
        {"uc_mmio_map", &api->mmio_map}, {"uc_strerror", &api->strerror},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *function = dlsym(library, wanted[i].name);
        if (function == NULL) {
            snprintf(error, error_bytes, "%s has no %s", path, wanted[i].name);
            return false;
        }
        memcpy(wanted[i].slot, &function, sizeof function);
    }
    return true;
}
