/* json.h: JSON in both directions, over jansson: duplicates rejected, depth and size limited,
 * numbers locale-proof. jansson's own type is visible only as an opaque Json. Knows nothing of what
 * is said. */
#pragma once

#include "evidence.h"

/* jansson exports functions of these two names; ours are linked under others. */
#define json_copy json_value_copy
#define json_number_value json_value_number

typedef struct Json Json; /* is a json_t; reference-counted by jansson, owned as said */

#define JSON_INPUT_MAX (1024 * 1024)
#define JSON_DEPTH_MAX 32
#define JSON_POINTER_MAX ((size_t)256)

Json *json_free(Json *j);
DEFINE_CLEANUP(Json *, json_free);
/* Parses text of n bytes. Returns NULL with the reason in *reterr, which begins with "line " only
 * for a text that is no JSON, or has a name twice in one object. */
Json *json_parse(const char *text, size_t n, StrBuf *reterr);
/* Compact text to be freed, numbers with 15 significant digits; NULL without memory. */
char *json_text(const Json *j);
char *json_text_pretty(const Json *j);

Json *json_new_object(void);
Json *json_new_array(void);
/* Setters copy text; invalid UTF-8 is escaped first. They take memory failure as an error of the
 * whole object, kept until json_text() (which then returns NULL). */
void json_set_text(Json *object, const char *key, const char *value); /* NULL value: null */
void json_set_u64(Json *object, const char *key,
                  uint64_t value); /* above INT64_MAX (USEC_INFINITY): null */
void json_set_i64(Json *object, const char *key, int64_t value);
void json_set_double(Json *object, const char *key, double value); /* NaN and infinities: null */
void json_set_bool(Json *object, const char *key, bool value);
void json_set_null(Json *object, const char *key);
void json_set(Json *object, const char *key, Json *value); /* hands value over */
void json_add(Json *array, Json *value);                   /* hands value over */
void json_add_text(Json *array, const char *value);

/* Getters borrow; a missing or mistyped key is the fallback. */
const char *json_get_text(const Json *object, const char *key, const char *fallback);
int64_t json_get_i64(const Json *object, const char *key, int64_t fallback);
double json_get_double(const Json *object, const char *key, double fallback);
bool json_get_bool(const Json *object, const char *key, bool fallback);
const Json *json_get(const Json *object, const char *key); /* NULL: missing or null */
/* The same, null as a value of its own; NULL: missing, or not an object. */
const Json *json_member(const Json *object, const char *key);
/* What a JSON pointer (RFC 6901) of at most JSON_POINTER_MAX bytes leads to; NULL: nothing. */
const Json *json_at_pointer(const Json *j, const char *pointer);
size_t json_length(const Json *array);
const Json *json_at(const Json *array, size_t i);
const char *json_text_value(const Json *text); /* NULL: not a string */
bool json_is_object(const Json *j);
bool json_is_array(const Json *j);
bool json_is_number(const Json *j);
double json_number_value(const Json *j);
bool json_bool_value(const Json *j);
bool json_is_bool(const Json *j);
bool json_is_text(const Json *j);
bool json_is_null(const Json *j);
Json *json_copy(const Json *j); /* deep */
/* Walks an object's keys in order of insertion: *iterator starts NULL; returns the key or NULL at
 * the end. */
const char *json_next(const Json *object, void **iterator, const Json **ret_value);

/* Evidence by its field table. */
Json *json_from_evidence(const Evidence *e);
