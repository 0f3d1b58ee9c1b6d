/* ledger_harness.h: a private PostgreSQL with the ledger's schema, a fresh database per test, and a
 * loop that the test's body can wait on: the loop runs on a stack of its own and gives the
 * processor back when what is waited for has come. Knows nothing of what is tested. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "pg.h"

typedef struct Harness {
        Loop *loop;
        Offload *offload;
        PgSync *admin;      /* superuser, in the test's database */
        char conninfo[512]; /* of the daemon's role */
        char admin_conninfo[512];
        char database[64];
} Harness;

/* Once per program: starts the server in a directory of its own, and stops it and removes the
 * directory. */
int harness_group_setup(void **state);
int harness_group_teardown(void **state);
/* Per test: *state is a Harness. */
int harness_setup(void **state);
int harness_teardown(void **state);

/* Runs the loop until `done` says so; the test fails after 30 s, with `what`. */
void harness_wait(Harness *h, bool (*done)(void *userdata), void *userdata, const char *what);
/* A script of the superuser in the test's database; the test fails when it does. */
void harness_sql(Harness *h, const char *sql);
/* First cell of the first row as text, "" for none; kept until the next call. */
const char *harness_cell(Harness *h, const char *sql);
/* A further superuser's connection. */
PgSync *harness_connect(Harness *h);
/* SIGKILL for the whole server, and start it again. */
void harness_kill_server(void);
void harness_start_server(void);
