/* json.c: jansson behind our own names. It seeds its hash tables from the kernel's randomness by
 * itself, at the first object. A setter that cannot get memory empties its object or array and
 * marks it broken, in a high bit of the reference count: every node of ours is referenced exactly
 * once (values are handed over, json_copy() is deep), so the count has room, and marking needs no
 * memory. What a broken value is put into becomes broken too, up to the root, and json_text() of
 * that is NULL: there is the whole text or none. */
#include <jansson.h>
/* Macros of jansson's whose names our header gives to functions; so it comes second. */
#undef json_is_object
#undef json_is_array
#undef json_is_number
#undef json_is_null

#include "json.h"

#include <math.h>

#define BROKEN ((size_t)1 << (sizeof(size_t) * 8 - 2))
/* 0.05 is written as 0.05, not as 0.050000000000000003. */
#define TEXT_FLAGS (JSON_ENCODE_ANY | JSON_REAL_PRECISION(15))

static json_t *node(Json *j) {
        return (json_t *)j;
}

static const json_t *node_const(const Json *j) {
        return (const json_t *)j;
}

static bool is_type(const Json *j, json_type type) {
        return j && json_typeof(node_const(j)) == type;
}

bool json_is_object(const Json *j) {
        return is_type(j, JSON_OBJECT);
}

bool json_is_array(const Json *j) {
        return is_type(j, JSON_ARRAY);
}

bool json_is_number(const Json *j) {
        return is_type(j, JSON_INTEGER) || is_type(j, JSON_REAL);
}

bool json_is_bool(const Json *j) {
        return is_type(j, JSON_TRUE) || is_type(j, JSON_FALSE);
}

bool json_is_text(const Json *j) {
        return is_type(j, JSON_STRING);
}

bool json_is_null(const Json *j) {
        return is_type(j, JSON_NULL);
}

bool json_bool_value(const Json *j) {
        return is_type(j, JSON_TRUE);
}

double json_number_value(const Json *j) {
        const json_t *n = node_const(j);

        return json_is_integer(n) ? (double)json_integer_value(n) : json_real_value(n);
}

/* Not jansson's constants true, false and null, which have every bit of the count set. */
static bool is_container(const Json *j) {
        return json_is_object(j) || json_is_array(j);
}

static bool is_broken(const Json *j) {
        return !j || (is_container(j) && (node_const(j)->refcount & BROKEN));
}

static void break_container(Json *j) {
        json_t *n = node(j);

        if (is_broken(j))
                return;
        if (json_is_object(j))
                (void)json_object_clear(n);
        else
                (void)json_array_clear(n);
        n->refcount |= BROKEN;
}

Json *json_free(Json *j) {
        json_t *n = node(j);

        if (is_container(j))
                n->refcount &= ~BROKEN;
        json_decref(n);
        return NULL;
}

/* Counts how deep the brackets outside strings nest, before the parser recurses into them. */
static bool is_too_deep(const char *text, size_t n) {
        bool in_string = false;
        unsigned depth = 0;

        for (size_t i = 0; i < n; i++) {
                char c = text[i];

                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                } else if (c == '"')
                        in_string = true;
                else if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
                        return true;
                else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
        }
        return false;
}

/* What is JSON all the same: numbers that jansson has no type for, texts with a NUL. */
static bool is_our_limit(enum json_error_code code) {
        return code == json_error_numeric_overflow || code == json_error_null_character ||
               code == json_error_null_byte_in_key || code == json_error_stack_overflow ||
               code == json_error_out_of_memory;
}

Json *json_parse(const char *text, size_t n, StrBuf *reterr) {
        json_error_t error;
        json_t *j;

        assert((text || n == 0) && reterr);
        if (n > JSON_INPUT_MAX) {
                strbuf_add(reterr, "the JSON is longer than 1 MiB");
                return NULL;
        }
        if (is_too_deep(text, n)) {
                strbuf_add(reterr, "the JSON nests deeper than 32 levels");
                return NULL;
        }
        j = json_loadb(text ? text : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (j)
                return (Json *)j;
        if (is_our_limit(json_error_code(&error)))
                strbuf_add(reterr, "rollbackd cannot hold it: ");
        strbuf_add(reterr, "line ");
        strbuf_add_u64(reterr, error.line > 0 ? (uint64_t)error.line : 1);
        strbuf_add(reterr, ", column ");
        strbuf_add_u64(reterr, error.column > 0 ? (uint64_t)error.column : 0);
        strbuf_add(reterr, ": ");
        strbuf_add_escaped(reterr, error.text, strnlen(error.text, sizeof error.text));
        return NULL;
}

/* Measures, then writes into one buffer: json_dumps() of jansson 2.14 loses part of a key,
 * silently, when its buffer cannot grow. */
static char *dump(const Json *j, size_t flags) {
        _cleanup_(freep) char *text = NULL;
        size_t n;

        n = is_broken(j) ? 0 : json_dumpb(node_const(j), NULL, 0, flags);
        if (n == 0)
                return NULL;
        text = malloc(n + 1);
        if (!text || json_dumpb(node_const(j), text, n, flags) != n)
                return NULL;
        text[n] = '\0';
        return TAKE_PTR(text);
}

char *json_text(const Json *j) {
        return dump(j, TEXT_FLAGS | JSON_COMPACT);
}

char *json_text_pretty(const Json *j) {
        return dump(j, TEXT_FLAGS | JSON_INDENT(2));
}

Json *json_new_object(void) {
        return (Json *)json_object();
}

Json *json_new_array(void) {
        return (Json *)json_array();
}

/* A copy with invalid UTF-8 written as \xNN, to be freed; NULL without memory. */
static char *escape(const char *text) {
        size_t n = strlen(text), size;
        StrBuf b;
        char *copy;

        if (n > (SIZE_MAX - 1) / 4)
                return NULL;
        size = n * 4 + 1;
        copy = malloc(size);
        if (!copy)
                return NULL;
        strbuf_init(&b, copy, size);
        strbuf_add_escaped(&b, text, n);
        return copy;
}

/* NULL without memory. */
static json_t *new_text(const char *value) {
        _cleanup_(freep) char *escaped = NULL;
        json_t *j;

        if (!value)
                return json_null();
        /* Refuses invalid UTF-8. */
        j = json_string(value);
        if (j)
                return j;
        escaped = escape(value);
        return escaped ? json_string(escaped) : NULL;
}

/* Puts `value`, which may be NULL for want of memory, into an object; takes it over. */
static void put(Json *object, const char *key, json_t *value) {
        _cleanup_(freep) char *escaped = NULL;

        assert(key);
        if (is_broken(object) || is_broken((Json *)value)) {
                json_free((Json *)value);
                if (object)
                        break_container(object);
                return;
        }
        assert(json_is_object(object));
        /* The reference that a failed attempt drops is this one, so that the value survives for the
         * second. */
        (void)json_incref(value);
        if (json_object_set_new(node(object), key, value) < 0) {
                escaped = escape(key);
                if (!escaped || json_object_set_new(node(object), escaped, json_incref(value)) < 0)
                        break_container(object);
        }
        json_decref(value);
}

void json_set_text(Json *object, const char *key, const char *value) {
        put(object, key, new_text(value));
}

void json_set_u64(Json *object, const char *key, uint64_t value) {
        put(object, key, value > INT64_MAX ? json_null() : json_integer((json_int_t)value));
}

void json_set_i64(Json *object, const char *key, int64_t value) {
        put(object, key, json_integer(value));
}

void json_set_double(Json *object, const char *key, double value) {
        put(object, key, isfinite(value) ? json_real(value) : json_null());
}

void json_set_bool(Json *object, const char *key, bool value) {
        put(object, key, json_boolean(value));
}

void json_set_null(Json *object, const char *key) {
        put(object, key, json_null());
}

void json_set(Json *object, const char *key, Json *value) {
        put(object, key, node(value));
}

static void append(Json *array, json_t *value) {
        if (is_broken(array) || is_broken((Json *)value)) {
                json_free((Json *)value);
                if (array)
                        break_container(array);
                return;
        }
        assert(json_is_array(array));
        if (json_array_append_new(node(array), value) < 0)
                break_container(array);
}

void json_add(Json *array, Json *value) {
        append(array, node(value));
}

void json_add_text(Json *array, const char *value) {
        append(array, new_text(value));
}

const Json *json_get(const Json *object, const char *key) {
        const Json *value = json_member(object, key);

        return json_is_null(value) ? NULL : value;
}

const Json *json_member(const Json *object, const char *key) {
        return (const Json *)json_object_get(node_const(object), key);
}

const char *json_get_text(const Json *object, const char *key, const char *fallback) {
        const char *text = json_text_value(json_get(object, key));

        return text ? text : fallback;
}

int64_t json_get_i64(const Json *object, const char *key, int64_t fallback) {
        const json_t *value = node_const(json_get(object, key));

        return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double json_get_double(const Json *object, const char *key, double fallback) {
        const Json *value = json_get(object, key);

        return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_get_bool(const Json *object, const char *key, bool fallback) {
        const Json *value = json_get(object, key);

        return json_is_bool(value) ? json_bool_value(value) : fallback;
}

size_t json_length(const Json *array) {
        return json_array_size(node_const(array));
}

const Json *json_at(const Json *array, size_t i) {
        return (const Json *)json_array_get(node_const(array), i);
}

const char *json_text_value(const Json *text) {
        return json_string_value(node_const(text));
}

Json *json_copy(const Json *j) {
        return is_broken(j) ? NULL : (Json *)json_deep_copy(node_const(j));
}

const char *json_next(const Json *object, void **iterator, const Json **ret_value) {
        json_t *o = (json_t *)object;

        assert(iterator);
        *iterator = *iterator ? json_object_iter_next(o, *iterator) : json_object_iter(o);
        if (!*iterator)
                return NULL;
        if (ret_value)
                *ret_value = (const Json *)json_object_iter_value(*iterator);
        return json_object_iter_key(*iterator);
}

static void put_evidence_field(Json *object, const EvidenceField *f, const Evidence *e) {
        const char *place = (const char *)e + f->offset;
        usec_t t;

        switch (f->type) {
        case FIELD_TEXT:
                json_set_text(object, f->name, f->pointer ? *(const char *const *)place : place);
                return;
        case FIELD_U64:
                json_set_u64(object, f->name, *(const uint64_t *)place);
                return;
        case FIELD_DOUBLE:
                json_set_double(object, f->name, *(const double *)place);
                return;
        case FIELD_SECONDS:
                t = *(const usec_t *)place;
                json_set_double(object, f->name,
                                t == USEC_INFINITY ? (double)INFINITY :
                                                     (double)t / (double)USEC_PER_SEC);
                return;
        case FIELD_BOOL:
                json_set_bool(object, f->name, *(const bool *)place);
                return;
        }
}

Json *json_from_evidence(const Evidence *e) {
        Json *object = json_new_object();

        assert(e);
        for (size_t i = 0; i < evidence_fields_n; i++)
                put_evidence_field(object, &evidence_fields[i], e);
        return object;
}
