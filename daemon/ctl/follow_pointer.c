/* The pointer of one service, as the ledger says it. A notice is a hint and nothing more: what
 * counts is what is read then. */
#include <errno.h>

#include "follow.h"
#include "number.h"

#define CHANNEL "rollbackd"
/* Finds what a lost notice would have told, and a connection that died in silence. */
#define READ_EVERY (10 * USEC_PER_SEC)
/* Between two reads, however many notices come: a storm costs the server ten reads a second. */
#define READ_GAP (100 * USEC_PER_MSEC)
#define READ_TIMEOUT (5 * USEC_PER_SEC)

struct PointerWatch {
        Loop *loop;
        Offload *offload;
        Pg *pg;
        char *password;   /* or NULL */
        LoopTimer *timer; /* when it is read next */
        const char *service;
        PointerOwner owner;
        usec_t read_at;
        bool reading;
        bool again;              /* a notice came while it was read */
        bool known;              /* read well at least once */
        bool away, unregistered; /* said, and not over yet */
        bool closing;
};

static void read_at(PointerWatch *w, usec_t at) {
        loop_timer_set(w->timer, MAX(at, usec_add(w->read_at, READ_GAP)));
}

/* Mostly the conninfo is the daemon's own, and the follower is somebody else. */
static ExitCode tell_refusal(const PointerWatch *w, const PgFailure *failure) {
        STRBUF(words, 512);

        strbuf_add(&words,
                   "it takes a role that may log in from here and is a member of "
                   "rollbackd_reader: name it by --conninfo, or in the unit: systemctl edit "
                   "rollbackd-follow@");
        strbuf_add(&words, w->service);
        strbuf_add(&words, ", [Service] Environment=ROLLBACKD_CONNINFO=dbname=NAME");
        return sql_fail_or_say(failure, words.text);
}

static void go_away(PointerWatch *w, const PgFailure *failure) {
        if (!w->known && failure->error == PG_CONFIGURATION) {
                w->owner.on_refused(w->owner.userdata, tell_refusal(w, failure));
                return;
        }
        if (w->away)
                return;
        w->away = true;
        follow_say(w->service, "the ledger is away, %s; trying again: %s",
                   w->known ? "all stays as it is" : "nothing is known yet", failure->message);
        w->owner.on_away(w->owner.userdata);
}

static void come_back(PointerWatch *w) {
        if (w->away)
                follow_say(w->service, "the ledger is back");
        w->away = false;
}

static void miss_service(PointerWatch *w) {
        if (!w->known) {
                follow_say(w->service,
                           "the ledger does not know this service; rollbackctl register "
                           "makes it known");
                w->owner.on_refused(w->owner.userdata, EXIT_NOT_FOUND);
                return;
        }
        if (!w->unregistered)
                follow_say(w->service,
                           "the ledger does not know this service any more; all stays as it is");
        w->unregistered = true;
}

static void take_row(PointerWatch *w, const PgResult *result) {
        const char *version = pg_cell(result, 0, 0), *text = pg_cell(result, 0, 1);
        PgFailure unreadable = { .error = PG_RETRY,
                                 .message = "it answered with something that is no version" };
        uint64_t epoch;

        if (!version || !text || !command_is_name(version) ||
            number_parse_u64(text, strlen(text), &epoch) < 0 || epoch == 0) {
                go_away(w, &unreadable);
                return;
        }
        come_back(w);
        if (w->unregistered)
                follow_say(w->service, "the ledger knows this service again");
        w->unregistered = false;
        w->known = true;
        w->owner.on_pointer(w->owner.userdata, version, epoch);
}

static void on_row(void *userdata, const PgFailure *failure, const PgResult *result) {
        PointerWatch *w = userdata;

        w->reading = false;
        if (w->closing)
                return;
        read_at(w, usec_add(loop_now(w->loop), READ_EVERY));
        if (failure->error != PG_OK)
                go_away(w, failure);
        else if (pg_rows(result) > 0)
                take_row(w, result);
        else {
                come_back(w);
                miss_service(w);
        }
}

static void on_timer(void *userdata, usec_t now) {
        PointerWatch *w = userdata;
        const char *const parameters[] = { w->service };

        if (w->reading || !pg_is_up(w->pg))
                return;
        w->read_at = now;
        w->reading = pg_query(w->pg,
                              "SELECT version, epoch FROM rollbackd.service_status "
                              "WHERE service = $1",
                              ELEMENTSOF(parameters), parameters, READ_TIMEOUT, on_row, w) >= 0;
        if (!w->reading)
                read_at(w, usec_add(now, READ_EVERY));
}

/* What is asked while an answer is awaited needs no other: the server sends notices between two
 * statements, so the answer behind a notice is newer than it. */
static void want(PointerWatch *w) {
        if (!w->reading)
                read_at(w, loop_now(w->loop));
}

static void on_state(void *userdata, bool up, const PgFailure *failure) {
        PointerWatch *w = userdata;

        if (w->closing)
                return;
        if (up)
                want(w);
        else
                go_away(w, failure);
}

/* The payload is "service epoch". */
static void on_notify(void *userdata, const char *channel _unused_, const char *payload) {
        PointerWatch *w = userdata;
        size_t n = strcspn(payload, " ");

        if (!w->closing && strlen(w->service) == n && strncmp(w->service, payload, n) == 0)
                want(w);
}

static int on_password(void *userdata, char **ret, StrBuf *reterr) {
        const PointerWatch *w = userdata;

        *ret = w->password ? strdup(w->password) : NULL;
        if (*ret || !w->password)
                return 0;
        strbuf_add(reterr, "no memory for the password");
        return -ENOMEM;
}

int pointer_watch_new(PointerWatch **ret, Loop *loop, const char *service, const char *conninfo,
                      const char *password, uint64_t seed, const PointerOwner *owner) {
        _cleanup_(pointer_watch_freep) PointerWatch *w = calloc(1, sizeof *w);
        PgSetup setup = { .conninfo = conninfo,
                          .on_password = on_password,
                          .application_name = "rollbackctl follow",
                          .listen = CHANNEL,
                          .on_state = on_state,
                          .on_notify = on_notify,
                          .userdata = w };
        int r;

        assert(ret && service && owner);
        if (!w)
                return -ENOMEM;
        *w = (PointerWatch){ .loop = loop, .service = service, .owner = *owner };
        w->password = password ? strdup(password) : NULL;
        if (password && !w->password)
                return -ENOMEM;
        r = loop_add_timer(loop, on_timer, w, "pointer", &w->timer);
        if (r < 0)
                return r;
        r = offload_new(&w->offload, loop, 2, 4);
        if (r < 0)
                return r;
        r = pg_new(&w->pg, loop, w->offload, &setup, seed);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

PointerWatch *pointer_watch_free(PointerWatch *w) {
        if (!w)
                return NULL;
        w->closing = true;
        pg_free(w->pg);
        offload_free(w->offload);
        loop_timer_free(w->timer);
        sql_wipe(w->password);
        free(w);
        return NULL;
}
