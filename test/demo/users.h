/* users.h: the platform's one business: a request for a user. Reads the user's row, and writes the
 * cache row and the session in the name of the version that serves.
 * Knows nothing of HTTP, faults or metrics. */
#pragma once

#include "pg.h"

#define VERSION_MAX 64

typedef struct Users Users;

typedef enum UsersResult {
        USERS_FOUND,
        USERS_NONE,        /* no such user */
        USERS_UNAVAILABLE, /* the database does not answer, or not as it should */
} UsersResult;

/* `conninfo` is borrowed for good. The database is reached at the first request. */
int users_new(Users **ret, const char *conninfo) _must_check_;
Users *users_free(Users *u);
DEFINE_CLEANUP(Users *, users_free);

/* Serves user `id` (decimal digits) by the version of the API that was requested, or by `active`
 * (shorter than VERSION_MAX) when `requested` is NULL. The version that served is written even when
 * the user was not found; the answer's JSON, to be freed, only when it was. */
UsersResult users_serve(Users *u, const char *id, const char *requested, const char *active,
                        char ret_version[static VERSION_MAX], char **ret_json) _must_check_;
