/* api_world.h: for the tests of daemon/http: the API over a real engine with three services, served
 * by a process of its own, and requests whose answers come back as status, headers and JSON. `web`
 * is at epoch 41 on version 2.0, with a target down; `shop` is a service that the ledger does not
 * know; the third one has a name that no policy file could give it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "api.h"
#include "served_http.h"

#define API_WORLD_ODD_NAME "odd\"name\\with\nall"
/* A request with this reason is refused with 409, and the actor as the detail. */
#define API_WORLD_WHO_AM_I "who am I?"

/* Ids that are not among the latest but in the ledger, which answers at once, with an error, or
 * not before somebody asks for /readyz. It cannot be asked for the last one. */
#define API_WORLD_OLD_OPERATION "5b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"
#define API_WORLD_OLD_EVENT "6b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"
#define API_WORLD_ERROR "7b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"
#define API_WORLD_SLOW "8b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"
#define API_WORLD_AWAY "ab54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11"

typedef struct ApiWorld {
        Served *served;
        char answer[512 * 1024]; /* the last one, with its head */
        char *body;              /* in it */
        Json *json;              /* of the last answer that was JSON, else NULL */
} ApiWorld;

/* Set-ups of a cmocka test: *state is an ApiWorld. Everything good; the ledger down and nothing
 * read from it yet; a crowd of 4096 services. */
int api_world_start(void **state);
int api_world_start_without_ledger(void **state);
int api_world_start_crowded(void **state);
int api_world_stop(void **state);

/* One request of text over the unix socket, or over TCP. Returns the status. */
unsigned api_ask(ApiWorld *w, const char *request);
unsigned api_ask_tcp(ApiWorld *w, const char *request);
/* GET of a path over the unix socket. */
unsigned api_get(ApiWorld *w, const char *path);
/* POST with a Content-Type of application/json and one more header line ("" for none). */
unsigned api_post(ApiWorld *w, const char *path, const char *header, const char *body);
/* The last answer is an RFC 9457 problem of this status whose detail has `words` in it. */
void api_assert_problem(ApiWorld *w, unsigned status, const char *words);
/* The entry of a list whose `key` is `value`; the test fails without one. */
const Json *api_find(const Json *list, const char *key, const char *value);
