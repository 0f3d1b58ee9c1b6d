#include "users.h"

#include <errno.h>
#include <stdio.h>

#include "json.h"

#define TRIES 3

/* A version that was taken back while a request was on its way must write nothing any more:
 * `serving` is empty then, and the request is served again by the version now in force. */
static const char serve_sql[] =
        "WITH person AS (SELECT id, name, version FROM users WHERE id = $1::bigint), "
        "serving AS (SELECT * FROM person "
        "WHERE rollbackd.version_for('users-api', $3::text) = $2::text), "
        "cached AS (INSERT INTO cache AS c (key, value, writer) "
        "SELECT 'user:' || id, jsonb_build_object('id', id, 'name', name), $2::text FROM serving "
        "ON CONFLICT (key) DO UPDATE SET value = excluded.value, writer = excluded.writer, "
        "written_at = excluded.written_at), "
        "opened AS (INSERT INTO session (user_id, version) SELECT id, $2::text FROM serving) "
        "SELECT name, version, EXISTS (SELECT FROM serving) AS served FROM person";

struct Users {
        const char *conninfo;
        PgSync *database;
};

int users_new(Users **ret, const char *conninfo) {
        Users *u = calloc(1, sizeof *u);

        if (!u)
                return -ENOMEM;
        u->conninfo = conninfo;
        *ret = u;
        return 0;
}

Users *users_free(Users *u) {
        if (!u)
                return NULL;
        pg_sync_free(u->database);
        free(u);
        return NULL;
}

/* One statement; on any failure the connection is given up, and the next request opens another. */
static PgResult *ask(Users *u, const char *sql, size_t n, const char *const parameters[]) {
        PgFailure failure = { 0 };
        PgResult *r;

        if (!u->database && pg_sync_connect(&u->database, u->conninfo, NULL, &failure) < 0) {
                fprintf(stderr, "platform: the database cannot be reached: %s\n", failure.message);
                return NULL;
        }
        r = pg_sync_query(u->database, sql, n, parameters, &failure);
        if (!r) {
                fprintf(stderr, "platform: %s\n", failure.message);
                u->database = pg_sync_free(u->database);
        }
        return r;
}

static bool find_version(Users *u, const char *requested, char ret[static VERSION_MAX]) {
        const char *parameters[] = { requested };
        _cleanup_(pg_result_freep) PgResult *r = ask(
                u, "SELECT rollbackd.version_for('users-api', $1::text)", 1, parameters);
        const char *version = r ? pg_cell(r, 0, 0) : NULL;

        if (!version || strlen(version) >= VERSION_MAX)
                return false;
        memcpy(ret, version, strlen(version) + 1);
        return true;
}

static char *describe(const char *id, const char *version, const PgResult *r) {
        _cleanup_(json_freep) Json *user = json_new_object();

        json_set_text(user, "id", id);
        json_set_text(user, "name", pg_value(r, 0, "name"));
        json_set_text(user, "data_version", pg_value(r, 0, "version"));
        json_set_text(user, "version", version);
        return json_text(user);
}

UsersResult users_serve(Users *u, const char *id, const char *requested, const char *active,
                        char ret_version[static VERSION_MAX], char **ret_json) {
        if (!requested)
                memcpy(ret_version, active, strlen(active) + 1);
        for (unsigned i = 0; i < TRIES; i++) {
                const char *parameters[] = { id, ret_version, requested };
                _cleanup_(pg_result_freep) PgResult *r = NULL;

                if ((requested || i > 0) && !find_version(u, requested, ret_version))
                        return USERS_UNAVAILABLE;
                r = ask(u, serve_sql, ELEMENTSOF(parameters), parameters);
                if (!r)
                        return USERS_UNAVAILABLE;
                if (pg_rows(r) == 0)
                        return USERS_NONE;
                if (!streq(pg_value(r, 0, "served") ?: "f", "t"))
                        continue;
                *ret_json = describe(id, ret_version, r);
                return *ret_json ? USERS_FOUND : USERS_UNAVAILABLE;
        }
        return USERS_UNAVAILABLE;
}
