/* private_postgres.h: a throw-away PostgreSQL on a unix socket in a folder of its own, for tests,
 * and a proxy before it that can swallow answers. Knows nothing of what is tested. */
#pragma once

#include <sys/types.h>

#include "macro.h"

typedef struct PrivatePostgres {
        char folder[64];
        char conninfo[160];
        pid_t pid;
} PrivatePostgres;

/* Makes a cluster (as user postgres when we are root), starts it and waits until it answers. Prints
 * why and returns false when it cannot. */
bool private_postgres_start(PrivatePostgres *p);
/* Starts the postmaster of a cluster that is there, and waits until it answers. */
bool private_postgres_again(PrivatePostgres *p);
/* Makes a standby of a cluster that runs, which follows it, and waits until it answers. */
bool private_postgres_follow(PrivatePostgres *p, const PrivatePostgres *primary);
/* SIGQUIT to the postmaster, and waits for its end. */
void private_postgres_kill(PrivatePostgres *p);
void private_postgres_remove(PrivatePostgres *p);

/* A proxy process before the cluster, which hands on what clients send, and no answer any more once
 * a client sent a statement that ends in `word`. */
typedef struct SwallowingProxy {
        char folder[64];
        char conninfo[160];
        pid_t pid;
} SwallowingProxy;

bool swallowing_proxy_start(SwallowingProxy *x, const PrivatePostgres *p, const char *word);
void swallowing_proxy_stop(SwallowingProxy *x);
