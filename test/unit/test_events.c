/* The tables of evidence fields and of events: complete, unique, and every sentence renders from
 * its own example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "events.h"
#include "evidence.h"

static size_t size_of(const EvidenceField *f) {
        static const size_t sizes[] = {
                [FIELD_TEXT] = 1,
                [FIELD_U64] = sizeof(uint64_t),
                [FIELD_DOUBLE] = sizeof(double),
                [FIELD_SECONDS] = sizeof(usec_t),
                [FIELD_BOOL] = sizeof(bool),
        };
        return f->pointer ? sizeof(const char *) : sizes[f->type];
}

/* Every byte of the value belongs to a field, but for padding: writing all fields leaves no member
 * out. */
static void evidence_fields_cover_the_value(void **state) {
        (void)state;
        size_t end = 0;
        for (size_t i = 0; i < evidence_fields_n; i++) {
                const EvidenceField *f = &evidence_fields[i];
                assert_true(f->offset >= end || i == 0);
                assert_true(strlen(f->name) > 2 && strlen(f->help) > 8);
                assert_true(!f->pointer || f->type == FIELD_TEXT);
                size_t next = i + 1 < evidence_fields_n ? evidence_fields[i + 1].offset :
                                                          sizeof(Evidence);
                size_t size = next - f->offset;
                if (f->type != FIELD_TEXT || f->pointer)
                        assert_true(size == size_of(f));
                else
                        assert_true(size == NAME_SIZE || size == 160 ||
                                    size == EVIDENCE_GUARDS_TEXT);
                for (size_t k = 0; k < i; k++)
                        assert_string_not_equal(f->name, evidence_fields[k].name);
                end = f->offset + size;
        }
        assert_int_equal(end, sizeof(Evidence));
}

/* The fields of an example: {"name": "value", ...}, without escapes. */
static size_t read_example(const char *json, char storage[], EventFieldValue fields[], size_t max) {
        size_t n = 0;
        assert_int_equal(*json++, '{');
        while (*json != '}') {
                assert_true(n < max);
                for (int part = 0; part < 2; part++) {
                        json = strchr(json, '"');
                        assert_non_null(json);
                        size_t length = strcspn(++json, "\"\\");
                        assert_int_equal(json[length], '"');
                        memcpy(storage, json, length);
                        storage[length] = '\0';
                        *(part ? &fields[n].value : &fields[n].name) = storage;
                        storage += length + 1;
                        json += length + 1;
                }
                n++;
                json += strspn(json, ", ");
        }
        assert_int_equal(json[1], '\0');
        return n;
}

static void assert_renders(const char *pattern, const EventFieldValue *fields, size_t n) {
        STRBUF(text, 512);
        event_render(pattern, fields, n, &text);
        assert_false(text.overflow);
        if (strpbrk(text.text, "?{}"))
                fail_msg("a field is missing: %s", text.text);
}

static void every_event_renders_from_its_example(void **state) {
        (void)state;
        for (EventKind k = 0; k < _EVENT_KIND_MAX; k++) {
                const EventRow *r = event_row(k);
                char storage[1024];
                EventFieldValue fields[12];
                size_t n = read_example(r->example, storage, fields, ELEMENTSOF(fields));
                assert_true(n > 0);
                assert_renders(r->text, fields, n);
                assert_int_equal(r->lasting, r->over != NULL);
                if (r->over)
                        assert_renders(r->over, fields, n);
                if (r->type_now)
                        assert_renders(r->type_now, fields, n);
                for (size_t i = 0; i < n; i++) { /* no field of the example is for nothing */
                        char place[80];
                        snprintf(place, sizeof place, "{%s}", fields[i].name);
                        if (!strstr(r->text, place) && !(r->type_now && strstr(r->type_now, place)))
                                fail_msg("%s: {%s} is nowhere said", r->type, fields[i].name);
                }
        }
}

static void types_and_message_ids_are_unique(void **state) {
        (void)state;
        for (EventKind k = 0; k < _EVENT_KIND_MAX; k++) {
                const EventRow *r = event_row(k);
                assert_int_equal(event_kind_from_type(r->type), k);
                assert_int_equal(strlen(r->message_id), 32);
                assert_int_equal(strspn(r->message_id, "0123456789abcdef"), 32);
                assert_true(strlen(severity_to_string(r->severity)) >= 4);
                for (EventKind other = 0; other < k; other++)
                        assert_string_not_equal(r->message_id, event_row(other)->message_id);
        }
        assert_true(event_kind_from_type("rollback.imagined") < 0);
}

static void missing_fields_are_visible(void **state) {
        (void)state;
        STRBUF(text, 64);
        const EventFieldValue fields[] = { { "a", "1" }, { "ab", NULL } };
        event_render("{a} {ab} {b} {", fields, ELEMENTSOF(fields), &text);
        assert_string_equal(text.text, "1 ? ? {");
}

#define CATALOG "systemd/rollbackd.catalog"

/* Every @FIELD@ of an entry is one that the journal gets with this event. */
static void assert_fields_are_known(const EventRow *r, const char *entry, const char *end) {
        char storage[1024];
        EventFieldValue fields[12];
        size_t n = read_example(r->example, storage, fields, ELEMENTSOF(fields));

        for (const char *at = entry; (at = strchr(at, '@')) && at < end;) {
                const char *close = strchr(at + 1, '@');
                bool known = false;

                assert_true(close && close < end);
                for (size_t i = 0; i < n; i++) {
                        const char *name = event_journal_field(fields[i].name);

                        known = known || (name && strlen(name) == (size_t)(close - at) - 1 &&
                                          memcmp(name, at + 1, strlen(name)) == 0);
                }
                if (!known)
                        fail_msg("%s: the journal has no %.*s", r->type, (int)(close - at) + 1, at);
                at = close + 1;
        }
}

static void assert_entry(const EventRow *r, const char *entry, const char *end) {
        static const char *const headers[] = { "Subject: ", "Defined-By: rollbackd\n",
                                               "Documentation: man:rollbackd(8)\n\n" };

        for (size_t i = 0; i < ELEMENTSOF(headers); i++) {
                if (strncmp(entry, headers[i], strlen(headers[i])) != 0)
                        fail_msg("%s: no header %s", r->type, headers[i]);
                entry = strchr(entry, '\n') + 1;
        }
        assert_true(end - entry > 80);
        const char *over = strstr(entry, "says that this is over.");
        assert_int_equal(over && over < end, r->lasting);
}

/* The catalog has an entry for each kind of event, and for nothing else. */
static void catalog_explains_every_event(void **state) {
        _cleanup_(freep) char *text = calloc(1, 65536);
        FILE *f = fopen(CATALOG, "re");
        size_t entries = 0;

        (void)state;
        assert_non_null(text);
        assert_non_null(f);
        assert_in_range(fread(text, 1, 65535, f), 1000, 65534);
        fclose(f);
        for (char *at = text; (at = strstr(at, "\n-- ")); entries++) {
                const char *id = at + 4, *entry = strchr(id, '\n') + 1;
                const char *next = strstr(id, "\n-- "), *end = next ? next : id + strlen(id);
                const EventRow *r = NULL;

                for (EventKind k = 0; k < _EVENT_KIND_MAX; k++)
                        if (memcmp(event_row(k)->message_id, id, 32) == 0)
                                r = event_row(k);
                if (!r || entry - id != 33)
                        fail_msg("%.32s is no event", id);
                for (const char *other = text; other < at; other++)
                        assert_int_not_equal(strncmp(other, id, 32), 0);
                assert_entry(r, entry, end);
                assert_fields_are_known(r, entry, end);
                at += 4;
        }
        assert_int_equal(entries, _EVENT_KIND_MAX);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(evidence_fields_cover_the_value),
                cmocka_unit_test(every_event_renders_from_its_example),
                cmocka_unit_test(types_and_message_ids_are_unique),
                cmocka_unit_test(missing_fields_are_visible),
                cmocka_unit_test(catalog_explains_every_event),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
