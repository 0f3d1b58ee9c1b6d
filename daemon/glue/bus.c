/* bus.c: sd-bus behind our own names. sd-bus is driven by its descriptor and its next timeout, as
 * any other thing that the loop watches. A query is two or three calls that are sent together; the
 * last answer, or the first error, ends it. */
#include "bus.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#define RETRY_FIRST USEC_PER_SEC
#define RETRY_MAX (30 * USEC_PER_SEC)
#define MESSAGES_PER_TURN 64
#define CALLS_MAX 3

#define NO_ANSWER "no answer of systemd over the system bus"

#define SYSTEMD "org.freedesktop.systemd1"
#define PROPERTIES "org.freedesktop.DBus.Properties"

struct Bus {
        Loop *loop;
        sd_bus *connection; /* NULL: none */
        LoopIo *io;
        int fd;      /* of the connection */
        int watched; /* the same, but ours: sd-bus closes its own when it likes */
        LoopTimer *timer;
        usec_t retry_at; /* without a connection: not before */
        usec_t pause;
        BusQuery *queries; /* that wait for an answer */
        char words[BUS_WORDS_SIZE];
};

struct BusQuery {
        Bus *bus;
        BusQuery *next, **at; /* in the list of the bus */
        sd_bus_slot *slots[CALLS_MAX];
        unsigned n_calls, n_answers;
        LoopTimer *timer;
        BusUnit unit;
        BusUnitDone done;
        void *userdata;
};

/* Of each type of unit that ends with a result, the interface that says it. */
static const struct {
        const char *suffix, *interface;
        bool restarts;
} unit_types[] = {
        { ".service", SYSTEMD ".Service", true }, { ".socket", SYSTEMD ".Socket", false },
        { ".mount", SYSTEMD ".Mount", false },    { ".automount", SYSTEMD ".Automount", false },
        { ".swap", SYSTEMD ".Swap", false },      { ".timer", SYSTEMD ".Timer", false },
        { ".path", SYSTEMD ".Path", false },      { ".scope", SYSTEMD ".Scope", false },
};

/* The clock of systemd's timestamps and of sd-bus' timeouts; nothing of ours is measured by it. */
static usec_t monotonic_now(void) {
        struct timespec t;

        if (clock_gettime(CLOCK_MONOTONIC, &t) < 0)
                return 0;
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void copy_word(char *word, size_t size, const char *text) {
        StrBuf b;

        strbuf_init(&b, word, size);
        strbuf_add_escaped(&b, text, strlen(text));
}

static void say(Bus *b, const char *before, int r, const char *after) {
        StrBuf words;

        strbuf_init(&words, b->words, sizeof b->words);
        strbuf_add(&words, before);
        strbuf_add(&words, strerrorname_np(r < 0 ? -r : r) ?: "an errno without a name");
        strbuf_add(&words, after);
}

BusQuery *bus_query_free(BusQuery *q) {
        if (!q)
                return NULL;
        *q->at = q->next;
        if (q->next)
                q->next->at = q->at;
        for (unsigned i = 0; i < CALLS_MAX; i++)
                sd_bus_slot_unref(q->slots[i]);
        loop_timer_free(q->timer);
        free(q);
        return NULL;
}

static void query_finish(BusQuery *q, const char *why) {
        BusUnitDone done = q->done;
        void *userdata = q->userdata;
        BusUnit unit = q->unit;

        bus_query_free(q);
        done(userdata, why ? NULL : &unit, why);
}

/* A descriptor is closed after the loop has let go of it, never before: while it is open in a child
 * that has not yet become its program, the kernel would go on to tell of it. */
static void bus_unwatch(Bus *b) {
        b->io = loop_io_free(b->io);
        if (b->watched >= 0)
                (void)close(b->watched);
        b->watched = b->fd = -1;
}

/* Gives the connection up, for the reason in `words`. sd-bus has told most of the queries already;
 * those whose answer cannot come any more are told here. */
static void bus_drop(Bus *b) {
        bus_unwatch(b);
        b->connection = sd_bus_close_unref(b->connection);
        loop_timer_set(b->timer, USEC_INFINITY);
        b->pause = MIN(b->pause ? 2 * b->pause : RETRY_FIRST, RETRY_MAX);
        b->retry_at = usec_add(loop_now(b->loop), b->pause);
        while (b->queries)
                query_finish(b->queries, b->words);
}

static void bus_close(Bus *b, int r) {
        say(b, "no connection to the system bus (", r, "); is dbus installed and running?");
        bus_drop(b);
}

/* Whoever does not answer would let what we ask pile up; a new connection begins anew. sd-bus' own
 * limits of time do not hold while it connects. */
static void on_overdue(void *userdata, _unused_ usec_t now) {
        BusQuery *q = userdata;
        StrBuf words;

        strbuf_init(&words, q->bus->words, sizeof q->bus->words);
        strbuf_add(&words, NO_ANSWER);
        bus_drop(q->bus);
}

static void on_ready(void *userdata, int fd, uint32_t events);

static uint32_t wanted_events(sd_bus *connection) {
        int events = sd_bus_get_events(connection);

        /* poll() and epoll use the same bits for these. */
        return events < 0 ? (uint32_t)EPOLLIN : (uint32_t)events;
}

/* Puts the descriptor's events and the timer where sd-bus wants them now. */
static int bus_watch(Bus *b) {
        int fd = sd_bus_get_fd(b->connection), r;
        usec_t at, now;

        if (fd < 0)
                return fd;
        if (fd != b->fd) {
                bus_unwatch(b);
                b->watched = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                if (b->watched < 0)
                        return -errno;
                b->fd = fd;
        }
        if (b->io)
                r = loop_io_set(b->io, wanted_events(b->connection));
        else
                r = loop_add_io(b->loop, b->watched, wanted_events(b->connection), on_ready, b,
                                "bus", &b->io);
        if (r < 0)
                return r;
        r = sd_bus_get_timeout(b->connection, &at);
        if (r < 0)
                return r;
        now = monotonic_now();
        loop_timer_set(b->timer, r == 0 || at == USEC_INFINITY ?
                                         USEC_INFINITY :
                                         usec_add(loop_now(b->loop), usec_sub(at, now)));
        return 0;
}

static void bus_process(Bus *b) {
        int r = 0;

        for (unsigned i = 0; i < MESSAGES_PER_TURN; i++) {
                r = sd_bus_process(b->connection, NULL);
                if (r <= 0)
                        break;
        }
        if (r >= 0)
                r = bus_watch(b);
        if (r < 0)
                bus_close(b, r);
        else if (sd_bus_is_ready(b->connection) > 0)
                b->pause = 0;
}

static void on_ready(void *userdata, _unused_ int fd, _unused_ uint32_t events) {
        bus_process(userdata);
}

static void on_timer(void *userdata, _unused_ usec_t now) {
        bus_process(userdata);
}

int bus_new(Bus **ret, Loop *loop) {
        _cleanup_(bus_freep) Bus *b = calloc(1, sizeof *b);
        int r;

        assert(ret && loop);
        if (!b)
                return -ENOMEM;
        b->loop = loop;
        b->fd = b->watched = -1;
        r = loop_add_timer(loop, on_timer, b, "bus", &b->timer);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(b);
        return 0;
}

Bus *bus_free(Bus *b) {
        if (!b)
                return NULL;
        bus_unwatch(b);
        loop_timer_free(b->timer);
        sd_bus_close_unref(b->connection);
        free(b);
        return NULL;
}

const char *bus_words(const Bus *b) {
        return b->words;
}

/* Connecting and saying hello goes on in the background; what is sent meanwhile waits for it. */
static int bus_open(Bus *b) {
        int r;

        if (b->connection)
                return 0;
        if (loop_now(b->loop) < b->retry_at)
                return -ENOTCONN;
        r = sd_bus_open_system_with_description(&b->connection, "rollbackd");
        if (r >= 0)
                r = bus_watch(b);
        if (r < 0)
                bus_close(b, r);
        return r;
}

static void query_fail(BusQuery *q, const sd_bus_error *error) {
        STRBUF(words, BUS_WORDS_SIZE);

        if (sd_bus_error_has_name(error, SD_BUS_ERROR_ACCESS_DENIED))
                strbuf_add(&words, "the system bus does not let rollbackd ask systemd");
        else if (sd_bus_error_has_name(error, SD_BUS_ERROR_NO_REPLY))
                strbuf_add(&words, NO_ANSWER);
        else {
                strbuf_add(&words, "systemd does not answer: ");
                strbuf_add_escaped(&words, error->message ?: error->name,
                                   strlen(error->message ?: error->name));
        }
        query_finish(q, words.text);
}

/* One entry of GetAll's answer; what is not ours is passed over. */
static int read_property(sd_bus_message *m, BusUnit *u) {
        const char *name, *text;
        uint64_t at;
        char *word;
        int r = sd_bus_message_read(m, "s", &name);

        if (r < 0)
                return r;
        word = streq(name, "LoadState")   ? u->load :
               streq(name, "ActiveState") ? u->active :
               streq(name, "SubState")    ? u->sub :
                                            NULL;
        if (word) {
                r = sd_bus_message_read(m, "v", "s", &text);
                if (r >= 0)
                        copy_word(word, BUS_WORD_SIZE, text);
                return r;
        }
        if (!streq(name, "ActiveEnterTimestampMonotonic"))
                return sd_bus_message_skip(m, "v");
        r = sd_bus_message_read(m, "v", "t", &at);
        if (r >= 0)
                u->active_since = at > 0 ? usec_sub(monotonic_now(), at) : USEC_INFINITY;
        return r;
}

static int read_unit(sd_bus_message *m, BusUnit *u) {
        int r = sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0) {
                r = sd_bus_message_enter_container(m, 'e', "sv");
                if (r == 0)
                        return sd_bus_message_exit_container(m);
                if (r > 0)
                        r = read_property(m, u);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}

static int read_result(sd_bus_message *m, BusUnit *u) {
        const char *text;
        int r = sd_bus_message_read(m, "v", "s", &text);

        if (r >= 0)
                copy_word(u->result, sizeof u->result, text);
        return r;
}

static int read_restarts(sd_bus_message *m, BusUnit *u) {
        int r = sd_bus_message_read(m, "v", "u", &u->restarts);

        u->has_restarts = r >= 0;
        return r;
}

static int take_answer(BusQuery *q, sd_bus_message *m, int (*read)(sd_bus_message *m, BusUnit *u)) {
        int r;

        if (sd_bus_message_is_method_error(m, NULL) > 0) {
                query_fail(q, sd_bus_message_get_error(m));
                return 0;
        }
        r = read(m, &q->unit);
        if (r < 0)
                query_finish(q, "systemd's answer over the system bus is not understood");
        else if (++q->n_answers == q->n_calls)
                query_finish(q, NULL);
        return 0;
}

static int on_unit(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        return take_answer(userdata, m, read_unit);
}

static int on_result(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        return take_answer(userdata, m, read_result);
}

static int on_restarts(sd_bus_message *m, void *userdata, _unused_ sd_bus_error *error) {
        return take_answer(userdata, m, read_restarts);
}

/* Calls a method of Properties with one or two texts. */
static int query_call(BusQuery *q, const char *path, const char *member, const char *interface,
                      const char *property, sd_bus_message_handler_t handler) {
        sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(q->bus->connection, &m, SYSTEMD, path, PROPERTIES,
                                               member);

        if (r >= 0)
                r = sd_bus_message_append(m, "s", interface);
        if (r >= 0 && property)
                r = sd_bus_message_append(m, "s", property);
        if (r >= 0)
                r = sd_bus_call_async(q->bus->connection, &q->slots[q->n_calls], m, handler, q,
                                      UINT64_MAX);
        sd_bus_message_unref(m);
        if (r >= 0)
                q->n_calls++;
        return r;
}

/* The path alone makes systemd look for a unit that it has not loaded. */
static int query_send(BusQuery *q, const char *unit) {
        _cleanup_(freep) char *path = NULL;
        const char *suffix = strrchr(unit, '.');
        int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

        if (r >= 0)
                r = query_call(q, path, "GetAll", SYSTEMD ".Unit", NULL, on_unit);
        for (size_t i = 0; r >= 0 && suffix && i < ELEMENTSOF(unit_types); i++) {
                if (!streq(suffix, unit_types[i].suffix))
                        continue;
                r = query_call(q, path, "Get", unit_types[i].interface, "Result", on_result);
                if (r >= 0 && unit_types[i].restarts)
                        r = query_call(q, path, "Get", unit_types[i].interface, "NRestarts",
                                       on_restarts);
        }
        return r;
}

int bus_ask_unit(Bus *b, const char *unit, usec_t timeout, BusUnitDone done, void *userdata,
                 BusQuery **ret) {
        BusQuery *q;
        int r = bus_open(b);

        if (r < 0)
                return r;
        q = calloc(1, sizeof *q);
        if (!q) {
                say(b, "cannot ask the system bus (", -ENOMEM, ")");
                return -ENOMEM;
        }
        *q = (BusQuery){ .bus = b, .next = b->queries, .at = &b->queries };
        if (q->next)
                q->next->at = &q->next;
        b->queries = q;
        q->done = done;
        q->userdata = userdata;
        q->unit.active_since = USEC_INFINITY;
        r = loop_add_timer(b->loop, on_overdue, q, "bus query", &q->timer);
        if (r >= 0)
                r = query_send(q, unit);
        if (r >= 0)
                r = bus_watch(b);
        if (r < 0) {
                say(b, "cannot ask the system bus (", r, ")");
                bus_query_free(q);
                return r;
        }
        loop_timer_set(q->timer, usec_add(loop_now(b->loop), timeout));
        *ret = q;
        return 0;
}
