/* manager.h: owns everything and is where all rooms meet: life cycles, the pump (now -> step ->
 * effects), reload, steps and deliveries. The only room that knows all others by name. */
#pragma once

#include "config.h"

typedef struct Manager Manager;

typedef struct ManagerOptions {
        const char *config_path;
        bool foreground;
} ManagerOptions;

/* Takes the configuration over, loads the policies, opens sockets and starts connecting. Returns 0
 * or a negative errno that has been logged, -EBADMSG where a person must mend the configuration
 * before another start can help. */
int manager_new(Manager **ret, const ManagerOptions *options, DaemonConfig *config) _must_check_;
Manager *manager_free(Manager *m);
DEFINE_CLEANUP(Manager *, manager_free);
/* Runs until SIGTERM or SIGINT. Returns the exit code. */
int manager_run(Manager *m);
