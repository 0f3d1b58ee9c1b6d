/* pg_visit_outcome.c: whose fault a failure is. What is not understood is never the server's. */
#include <errno.h>

#include "pg_visit_internal.h"

/* First match wins; by the beginning of the SQLSTATE. */
static const struct {
        const char *prefix;
        ProbeOutcome outcome;
} sqlstates[] = {
        { "28", OUTCOME_DENIED },     /* who we are, or how we said it */
        { "42501", OUTCOME_DENIED },  /* no right */
        { "57014", OUTCOME_TIMEOUT }, /* statement_timeout, which is the probe's timeout */
        { "55P03", OUTCOME_TIMEOUT }, /* lock_timeout, the same */
        { "40", OUTCOME_NO_DATA },    /* another's work was in the way, as recovery on a standby */
        { "3D", OUTCOME_LOCAL },      /* no such database: ours names it */
        { "42", OUTCOME_LOCAL },      /* the statement is wrong */
        { "54", OUTCOME_LOCAL },      /* or too large */
        { "0A", OUTCOME_LOCAL },      /* or asks for what there is not */
        { "21", OUTCOME_LOCAL },      /* or for one row where there are several */
        { "22", OUTCOME_LOCAL },      /* or computes what cannot be */
        { "25", OUTCOME_LOCAL },      /* or writes: 25006 */
        { "2D", OUTCOME_LOCAL },      /* or ends the transaction */
        { "34", OUTCOME_LOCAL },      { "3F", OUTCOME_LOCAL },
        { "26", OUTCOME_LOCAL },      { "", OUTCOME_ERROR },
};

/* libpq ends a message of the system with its words for the errno; ours are from the same function.
 * A server of several addresses has one of each: the first row that is found counts, so that a
 * network that we lack does not hide that another address refused. */
static const int errors[] = {
        ECONNREFUSED, ENOENT,        ECONNRESET, EPIPE,  EHOSTUNREACH, ETIMEDOUT, ENETUNREACH,
        ENETDOWN,     EADDRNOTAVAIL, EMFILE,     ENFILE, ENOBUFS,      ENOMEM,
};

/* libpq's own words, of its version 15; the daemon sets no locale, so they are never translated. */
static const struct {
        const char *words;
        ProbeOutcome outcome;
} phrases[] = {
        { "could not translate host name", OUTCOME_RESOLVER },
        { "no password supplied", OUTCOME_DENIED },
        { "root certificate file", OUTCOME_LOCAL },
        { "certificate file", OUTCOME_LOCAL },
        { "private key", OUTCOME_LOCAL },
        { "certificate verify failed", OUTCOME_TLS_UNTRUSTED },
        { "does not match host name", OUTCOME_TLS_NAME },
        { "does not support SSL", OUTCOME_TLS },
        /* The server's alerts that are about our certificate, by OpenSSL's words for them. */
        { "alert unknown ca", OUTCOME_DENIED },
        { "alert certificate ", OUTCOME_DENIED }, /* required, expired, revoked, unknown */
        { "alert bad certificate", OUTCOME_DENIED },
        { "alert no certificate", OUTCOME_DENIED },
        { "alert unsupported certificate", OUTCOME_DENIED },
        { "alert access denied", OUTCOME_DENIED },
        { "SSL error", OUTCOME_TLS },
        { "EOF detected", OUTCOME_CLOSED },
        { "is in hot standby mode", OUTCOME_BAD_STATE },
        { "is not in hot standby mode", OUTCOME_BAD_STATE },
        { "session is read-only", OUTCOME_BAD_STATE },
        { "session is not read-only", OUTCOME_BAD_STATE },
        { "received invalid response", OUTCOME_PROTOCOL },
        { "expected authentication request", OUTCOME_PROTOCOL },
        { "unexpected response from server", OUTCOME_PROTOCOL },
        { "lost synchronization with server", OUTCOME_PROTOCOL },
        { "protocol synchronization was lost", OUTCOME_PROTOCOL },
        { "server closed the connection unexpectedly", OUTCOME_CLOSED },
        { "out of memory", OUTCOME_RESOURCES },
};

/* PgBouncer says all that it refuses with one SQLSTATE; these words are of its versions 1.7
 * to 1.24. What it says of its own way to the server comes first: that is not about us. */
#define POOLER_SQLSTATE "08P01"
static const struct {
        const char *words;
        ProbeOutcome outcome;
} pooler_phrases[] = {
        { "server login", OUTCOME_ERROR },
        { "no such database", OUTCOME_LOCAL },
        { "unsupported startup parameter", OUTCOME_LOCAL },
        { "SSL required", OUTCOME_LOCAL },
        { "no such user", OUTCOME_DENIED },
        { "authentication failed", OUTCOME_DENIED },
        { "login rejected", OUTCOME_DENIED },
};

void pg_visit_say(PgVisitEnd *end, ProbeOutcome outcome, const char *sqlstate, const char *words) {
        StrBuf b;

        end->outcome = outcome;
        strbuf_init(&b, end->words, sizeof end->words);
        if (*sqlstate) {
                strbuf_add(&b, sqlstate);
                strbuf_add(&b, ": ");
        }
        strbuf_add(&b, *words ? words : outcome_words(outcome));
}

static ProbeOutcome outcome_of_sqlstate(const char *sqlstate) {
        size_t i = 0;

        while (strncmp(sqlstate, sqlstates[i].prefix, strlen(sqlstates[i].prefix)) != 0)
                i++;
        return sqlstates[i].outcome;
}

static ProbeOutcome outcome_of_words(const char *words) {
        /* A file of ours that is missing is no socket that is: phrases first. */
        for (size_t i = 0; i < ELEMENTSOF(phrases); i++)
                if (strstr(words, phrases[i].words))
                        return phrases[i].outcome;
        for (size_t i = 0; i < ELEMENTSOF(errors); i++)
                if (strstr(words, strerrordesc_np(errors[i])))
                        return outcome_from_errno(errors[i]);
        return OUTCOME_LOCAL;
}

/* libpq begins with `connection to server at "h" (a), port n failed: `, which would leave no room
 * for what it failed of. */
static const char *skip_place(const char *words) {
        static const char failed[] = " failed: ";
        const char *end;

        if (strncmp(words, "connection to server ", strlen("connection to server ")) != 0)
                return words;
        end = strstr(words, failed);
        return end ? end + strlen(failed) : words;
}

/* "FATAL:  57P03: the database system is starting up": the SQLSTATE is said before it. */
static const char *skip_severity(const char *words, const char *sqlstate) {
        const char *at = *sqlstate ? strstr(words, sqlstate) : NULL;

        return at && at[5] == ':' ? at + 5 + strspn(at + 5, ": ") : words;
}

static ProbeOutcome outcome_of_refusal(const PgFailure *f) {
        for (size_t i = 0; streq(f->sqlstate, POOLER_SQLSTATE) && i < ELEMENTSOF(pooler_phrases);
             i++)
                if (strstr(f->message, pooler_phrases[i].words))
                        return pooler_phrases[i].outcome;
        return outcome_of_sqlstate(f->sqlstate);
}

void pg_visit_judge_connection(PgVisitEnd *end, const PGconn *c) {
        PgFailure f;

        if (!c) {
                pg_visit_say(end, OUTCOME_RESOURCES, "", "");
                return;
        }
        failure_from_connection(&f, PG_RETRY, c);
        pg_visit_say(end,
                     *f.sqlstate ? outcome_of_refusal(&f) : outcome_of_words(PQerrorMessage(c)),
                     f.sqlstate, skip_severity(skip_place(f.message), f.sqlstate));
}

void pg_visit_judge_result(PgVisitEnd *end, const PGconn *c, const PGresult *r) {
        PgFailure f;

        ProbeOutcome outcome;

        failure_from_result(&f, c, r);
        outcome = *f.sqlstate ? outcome_of_sqlstate(f.sqlstate) : outcome_of_words(f.message);
        /* Of a statement: it is not for what it asks about. Of a connection: the database is closed
         * to all. */
        if (streq(f.sqlstate, "55000"))
                outcome = OUTCOME_LOCAL;
        pg_visit_say(end, outcome, f.sqlstate, f.message);
}
