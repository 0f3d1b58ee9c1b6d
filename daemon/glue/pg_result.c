/* pg_result.c: values of a result, and errors by the class of their SQLSTATE (never by their words,
 * which are translated). */
#include <errno.h>
#include <math.h>

#include "number.h"
#include "pg_internal.h"

const PgFailure failure_none = { .error = PG_OK };

typedef struct SqlstateClass {
        const char *prefix;
        PgError error;
} SqlstateClass;

/* First match wins. */
static const SqlstateClass sqlstate_classes[] = {
        { "25006",
          PG_HOLD }, /* read-only transaction: a standby, or default_transaction_read_only */
        { "57P03", PG_HOLD },     /* starting up, shutting down, recovering */
        { "40", PG_RETRY },       /* serialization, deadlock */
        { "55P03", PG_RETRY },    /* lock_timeout */
        { "55006", PG_RETRY },    /* object in use */
        { "57014", PG_RETRY },    /* statement_timeout, cancelled */
        { "57P0", PG_RETRY },     /* shutdowns */
        { "53", PG_RETRY },       /* connections, memory, disk */
        { "58", PG_RETRY },       /* input and output */
        { "08", PG_RETRY },       /* connection */
        { "25P03", PG_RETRY },    /* idle_in_transaction_session_timeout */
        { "RB", PG_REFUSED },     /* the ledger's own */
        { "23", PG_REFUSED },     /* constraint */
        { "P0001", PG_REFUSED },  /* RAISE */
        { "25P02", PG_REFUSED },  /* in a transaction that failed before */
        { "", PG_CONFIGURATION }, /* 28, 3D, 42, 0A, and everything that nobody foresaw: a person
                                     must look */
};

static PgError classify(const char *sqlstate) {
        for (size_t i = 0; i < ELEMENTSOF(sqlstate_classes); i++)
                if (strncmp(sqlstate, sqlstate_classes[i].prefix,
                            strlen(sqlstate_classes[i].prefix)) == 0)
                        return sqlstate_classes[i].error;
        return PG_CONFIGURATION;
}

void failure_set(PgFailure *f, PgError error, const char *sqlstate, const char *message) {
        StrBuf b;

        *f = (PgFailure){ .error = error };
        strbuf_init(&b, f->sqlstate, sizeof f->sqlstate);
        strbuf_add(&b, sqlstate ? sqlstate : "");
        strbuf_init(&b, f->message, sizeof f->message);
        strbuf_add_escaped(&b, message, strlen(message));
}

bool result_is_error(const PGresult *r) {
        ExecStatusType status = PQresultStatus(r);

        return status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
               status != PGRES_EMPTY_QUERY;
}

static void add_part(StrBuf *b, const char *label, const char *text) {
        if (!text)
                return;
        strbuf_add(b, label);
        strbuf_add_escaped(b, text, strlen(text));
}

/* libpq ends its messages with a newline, and has several lines for several hosts. The server's own
 * place in its source (LOCATION) is left out. */
static void add_lines(StrBuf *b, const char *text) {
        bool first = true;

        while (*text) {
                size_t n;

                /* A line that goes on from the one before is set in. */
                text += strspn(text, " \t");
                n = strcspn(text, "\n");

                if (n > 0 && strncmp(text, "LOCATION:", MIN(n, strlen("LOCATION:"))) != 0) {
                        if (!first)
                                strbuf_add(b, "; ");
                        strbuf_add_escaped(b, text, n);
                        first = false;
                }
                text += n + (text[n] == '\n');
        }
}

static void copy_name(char *ret, size_t size, const char *name, size_t n) {
        StrBuf b;

        strbuf_init(&b, ret, size);
        strbuf_add_escaped(&b, name ? name : "", name ? n : 0);
}

static void add_place(PgFailure *f, const PGconn *c) {
        const char *database = PQdb(c), *user = PQuser(c);

        copy_name(f->database, sizeof f->database, database, database ? strlen(database) : 0);
        copy_name(f->user, sizeof f->user, user, user ? strlen(user) : 0);
}

void failure_from_result(PgFailure *f, const PGconn *c, const PGresult *r) {
        const char *sqlstate = PQresultErrorField(r, PG_DIAG_SQLSTATE),
                   *primary = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY),
                   *routine = PQresultErrorField(r, PG_DIAG_SOURCE_FUNCTION);
        StrBuf b;

        *f = failure_none;
        if (!result_is_error(r))
                return;
        failure_set(f, sqlstate ? classify(sqlstate) : PG_RETRY, sqlstate, "");
        copy_name(f->routine, sizeof f->routine, routine, routine ? strlen(routine) : 0);
        add_place(f, c);
        strbuf_init(&b, f->message, sizeof f->message);
        if (!primary) {
                add_lines(&b, PQresultErrorMessage(r));
                return;
        }
        add_part(&b, "", primary);
        add_part(&b, "; detail: ", PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL));
        add_part(&b, "; hint: ", PQresultErrorField(r, PG_DIAG_MESSAGE_HINT));
}

/* libpq 15 has no call for the SQLSTATE of a refused connection, but writes it, when verbose,
 * between the severity and the words: "FATAL:  28P01: ...". */
static const char *find_sqlstate(const char *text, char storage[static 6]) {
        for (const char *at = strstr(text, ":  "); at; at = strstr(at + 1, ":  ")) {
                size_t n = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");

                if (n == 5 && at[8] == ':') {
                        memcpy(storage, at + 3, 5);
                        storage[5] = '\0';
                        return storage;
                }
        }
        return NULL;
}

/* The verbose message also has the server's function: "LOCATION:  auth_failed, auth.c:330". */
static void add_routine(PgFailure *f, const char *text) {
        static const char label[] = "LOCATION:";
        const char *at = strstr(text, label);

        if (!at)
                return;
        at += strlen(label);
        at += strspn(at, " ");
        copy_name(f->routine, sizeof f->routine, at, strcspn(at, ",\n"));
}

void failure_from_connection(PgFailure *f, PgError error, const PGconn *c) {
        const char *text = PQerrorMessage(c);
        char storage[6];
        const char *sqlstate = find_sqlstate(text, storage);
        StrBuf b;

        failure_set(f, error == PG_RETRY && sqlstate ? classify(sqlstate) : error, sqlstate, "");
        add_routine(f, text);
        add_place(f, c);
        strbuf_init(&b, f->message, sizeof f->message);
        add_lines(&b, text);
        if (b.length == 0)
                strbuf_add(&b, "the server closed the connection");
}

static const PGresult *unwrap(const PgResult *r) {
        return (const PGresult *)r;
}

size_t pg_rows(const PgResult *r) {
        return r ? (size_t)PQntuples(unwrap(r)) : 0;
}

size_t pg_columns(const PgResult *r) {
        return r ? (size_t)PQnfields(unwrap(r)) : 0;
}

const char *pg_cell(const PgResult *r, size_t row, size_t column) {
        if (row >= pg_rows(r) || column >= pg_columns(r) ||
            PQgetisnull(unwrap(r), (int)row, (int)column))
                return NULL;
        return PQgetvalue(unwrap(r), (int)row, (int)column);
}

const char *pg_value(const PgResult *r, size_t row, const char *column) {
        int n = r ? PQfnumber(unwrap(r), column) : -1;

        return n < 0 ? NULL : pg_cell(r, row, (size_t)n);
}

const char *pg_column_name(const PgResult *r, size_t column) {
        return column < pg_columns(r) ? PQfname(unwrap(r), (int)column) : NULL;
}

bool pg_cell_number(const PgResult *r, size_t row, size_t column, double *ret) {
        /* Of the server's catalogue, which never changes them: int8, int2, int4, oid, float4,
         * float8, numeric. */
        static const Oid numbers[] = { 20, 21, 23, 26, 700, 701, 1700 };
        static const Oid truth = 16;
        const char *text = pg_cell(r, row, column);
        Oid type = column < pg_columns(r) ? PQftype(unwrap(r), (int)column) : 0;
        bool is_number = type == truth;

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
                is_number |= type == numbers[i];
        if (!is_number)
                return false;
        *ret = NAN;
        if (text && type == truth)
                *ret = *text == 't';
        else if (text && number_parse_double(text, strlen(text), ret) < 0)
                *ret = NAN;
        return true;
}

uint64_t pg_affected(const PgResult *r) {
        const char *text = r ? PQcmdTuples((PGresult *)r) : "";
        uint64_t n;

        return number_parse_u64(text, strlen(text), &n) < 0 ? 0 : n;
}

const char *pg_error_to_string(PgError e) {
        static const char *const words[] = {
                [PG_OK] = "ok",
                [PG_RETRY] = "retry",
                [PG_HOLD] = "hold",
                [PG_CONFIGURATION] = "configuration",
                [PG_REFUSED] = "refused",
                [PG_LOST] = "lost",
                [PG_IN_DOUBT] = "in doubt",
                [PG_TIMEOUT] = "timeout",
        };

        _Static_assert(ELEMENTSOF(words) == _PG_ERROR_MAX, "every error has its word");
        return e < _PG_ERROR_MAX ? words[e] : "unknown";
}

PgResult *pg_result_free(PgResult *r) {
        PQclear((PGresult *)r);
        return NULL;
}

/* Length of the UTF-8 character at `text`, 0 when it is none (overlong, surrogate, past U+10FFFF,
 * cut off). */
static size_t utf8_length(const unsigned char *text) {
        size_t n = text[0] < 0x80 ? 1 :
                   text[0] < 0xc2 ? 0 :
                   text[0] < 0xe0 ? 2 :
                   text[0] < 0xf0 ? 3 :
                   text[0] < 0xf5 ? 4 :
                                    0;

        for (size_t i = 1; i < n; i++)
                if ((text[i] & 0xc0) != 0x80)
                        return 0;
        if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
            (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
                return 0;
        return n;
}

int pg_quote_identifier(const char *name, StrBuf *b) {
        const char *at = name;

        assert(name && b);
        if (!*name)
                return -EINVAL;
        while (*at) {
                size_t n = utf8_length((const unsigned char *)at);

                if (n == 0)
                        return -EINVAL;
                at += n;
        }
        strbuf_add_char(b, '"');
        for (at = name; *at; at++) {
                if (*at == '"')
                        strbuf_add_char(b, '"');
                strbuf_add_char(b, *at);
        }
        strbuf_add_char(b, '"');
        return b->overflow ? -ENOSPC : 0;
}

void pg_add_identifier(const char *name, StrBuf *b) {
        static const char first[] = "abcdefghijklmnopqrstuvwxyz_";
        static const char others[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
        bool plain = name[0] != '\0' && strchr(first, name[0]) &&
                     strspn(name, others) == strlen(name);

        if (plain || pg_quote_identifier(name, b) < 0)
                strbuf_add_escaped(b, name, strlen(name));
}
