/* probe_redis.c: good when the server takes a new connection and who we are, answers PING, says
 * what it is, and has the wanted role. All commands go out at once; nothing is written. */
#include <errno.h>

#include "digest.h"
#include "http_tls.h"
#include "redis_words.h"
#include "stream.h"

#define READ_SIZE 4096
#define READS_PER_TURN 8

typedef struct RedisShared {
        HttpTls *tls; /* NULL: no target wants it */
} RedisShared;

typedef struct RedisRun {
        Stream *stream;
        RedisReader *reader;
        const ProbeConfig *config;
        ProbeTrace *trace;
        char *request;
        size_t length, sent;
        RedisCommand asked[_REDIS_COMMAND_MAX];
        size_t n_asked, n_answered;
        bool has_sent, has_received;
        ProbeResult result;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} RedisRun;

static int redis_prepare(const ProbeTools *tools, const ProbeConfig *config, void **ret_shared) {
        RedisShared *s = calloc(1, sizeof *s);
        int r = s ? http_tls_new(&s->tls, tools, config) : -ENOMEM;

        if (r < 0) {
                free(s);
                return r;
        }
        *ret_shared = s;
        return 0;
}

static void redis_release(void *shared) {
        RedisShared *s = shared;

        if (!s)
                return;
        http_tls_free(s->tls);
        free(s);
}

/* The newest session of TLS with the target. */
static int redis_memory_new(const ProbeConfig *config _unused_, void **ret_memory) {
        TlsSession *session = calloc(1, sizeof *session);

        if (!session)
                return -ENOMEM;
        *ret_memory = session;
        return 0;
}

static void redis_memory_free(void *memory) {
        tls_session_clear(memory);
        free(memory);
}

static void redis_memory_start_epoch(void *memory) {
        tls_session_clear(memory);
}

static RedisRun *redis_run_free(RedisRun *run) {
        if (!run)
                return NULL;
        stream_free(run->stream);
        redis_reader_free(run->reader);
        if (run->request)
                digest_wipe(run->request, run->length);
        free(run->request);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(RedisRun *, redis_run_free);

static void add_certificate(const RedisRun *run, ProbeResult *result) {
        double days;

        if (run->stream && run->stream->tls && tls_stream_certificate_days(run->stream->tls, &days))
                (void)probe_result_add_value(result, "certificate_days", days);
}

static void finish(RedisRun *run) {
        ProbeResult result = run->result;
        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;

        add_certificate(run, &result);
        redis_run_free(run);
        done(owner, &result);
}

static void finish_with(RedisRun *run, ProbeOutcome outcome, const char *words) {
        probe_result_set(&run->result, outcome, words);
        finish(run);
}

static void finish_errno(RedisRun *run, int error) {
        stream_explain(run->stream, error, &run->result);
        finish(run);
}

/* Takes the replies that are whole. Returns whether more are awaited. */
static bool take_replies(RedisRun *run) {
        for (;;) {
                _cleanup_(freep) RedisReply *reply = NULL;
                int r = redis_reader_take(run->reader, &reply);

                if (r == 0)
                        return true;
                if (r < 0) {
                        finish_with(run, OUTCOME_PROTOCOL, "not an answer of Redis");
                        return false;
                }
                if (!redis_words_take(run->asked[run->n_answered++], reply, run->config->redis.role,
                                      &run->result) ||
                    run->n_answered == run->n_asked) {
                        finish(run);
                        return false;
                }
        }
}

/* Returns whether there may be more to read now. */
static bool read_more(RedisRun *run) {
        char buffer[READ_SIZE];
        ssize_t n = stream_receive(run->stream, buffer, sizeof buffer);
        int r;

        if (n == -EAGAIN)
                return false;
        if (n == 0 || n == -ENODATA) {
                finish_with(run, OUTCOME_CLOSED,
                            run->has_received ? "closed before the end of the answer" :
                                                "closed without an answer");
                return false;
        }
        if (n < 0) {
                finish_errno(run, (int)n);
                return false;
        }
        run->has_received = true;
        probe_trace_mark(run->trace, MOMENT_FIRST_BYTE);
        probe_trace_received(run->trace, buffer, (size_t)n);

        bool more = stream_may_have_more(run->stream, n, sizeof buffer);
        r = redis_reader_feed(run->reader, buffer, (size_t)n);
        if (r == -EFBIG)
                finish_with(run, OUTCOME_TOO_LARGE, "the answer has more than 64KiB");
        else if (r < 0)
                finish_errno(run, r);
        return r >= 0 && take_replies(run) && more;
}

static void read_answer(RedisRun *run) {
        for (unsigned i = 0; i < READS_PER_TURN; i++)
                if (!read_more(run))
                        return;

        int r = stream_tell_again(run->stream);
        if (r < 0)
                finish_errno(run, r);
}

static void note_sent(RedisRun *run) {
        const char *owed = stream_waiting_for(run->stream);

        if (run->has_sent || (owed && streq(owed, STREAM_OWES_HANDSHAKE)))
                probe_trace_mark(run->trace, MOMENT_CONNECTED);
        if (run->has_sent && run->stream->tls)
                probe_trace_mark(run->trace, MOMENT_TLS);
        if (run->sent == run->length)
                probe_trace_mark(run->trace, MOMENT_SENT);
}

/* Returns 0 when all is sent, -EAGAIN, or why it cannot be. */
static int send_rest(RedisRun *run) {
        while (run->sent < run->length) {
                ssize_t n = stream_send(run->stream, run->request + run->sent,
                                        run->length - run->sent);

                if (n >= 0) {
                        run->sent += (size_t)n;
                        run->has_sent = true;
                        note_sent(run);
                        continue;
                }
                note_sent(run);
                /* A server that is full says so and closes without reading. */
                if ((n == -EPIPE || n == -ECONNRESET) && run->has_sent)
                        run->sent = run->length;
                else
                        return (int)n;
        }
        return 0;
}

static void on_ready(PollItem *item, uint32_t events) {
        Stream *s = (Stream *)item;
        RedisRun *run = s->owner;
        int r;

        stream_wake(s, events);
        if (run->sent < run->length) {
                r = send_rest(run);
                if (r == -EAGAIN)
                        r = stream_watch(s, on_ready, run);
                if (r < 0) {
                        finish_errno(run, r);
                        return;
                }
        }
        if (run->has_sent && (events & EPOLLIN || s->ended))
                read_answer(run);
}

static int ask(RedisRun *run, RedisCommand command, size_t n, const char *const words[]) {
        int r = redis_add_command(&run->request, &run->length, n, words);

        for (size_t i = 0; r >= 0 && run->trace && i < n; i++) {
                /* The last word of AUTH is the password. */
                const char *shown = command == REDIS_COMMAND_AUTH && i == n - 1 ? "***" : words[i];

                probe_trace_sent(run->trace, shown, strlen(shown));
                probe_trace_sent(run->trace, i == n - 1 ? "\n" : " ", 1);
        }
        if (r >= 0)
                run->asked[run->n_asked++] = command;
        return r;
}

static int ask_all(RedisRun *run, const char *password) {
        const RedisConfig *config = &run->config->redis;
        STRBUF(database, sizeof "4294967295");
        int r = 0;

        strbuf_add_u64(&database, config->database);
        if (password && config->user)
                r = ask(run, REDIS_COMMAND_AUTH, 3,
                        (const char *const[]){ "AUTH", config->user, password });
        else if (password)
                r = ask(run, REDIS_COMMAND_AUTH, 2, (const char *const[]){ "AUTH", password });
        if (r >= 0 && config->database > 0)
                r = ask(run, REDIS_COMMAND_SELECT, 2,
                        (const char *const[]){ "SELECT", database.text });
        if (r >= 0)
                r = ask(run, REDIS_COMMAND_PING, 1, (const char *const[]){ "PING" });
        if (r >= 0)
                r = ask(run, REDIS_COMMAND_REPLICATION, 2,
                        (const char *const[]){ "INFO", "replication" });
        if (r >= 0)
                r = ask(run, REDIS_COMMAND_SERVER, 2, (const char *const[]){ "INFO", "server" });
        return r;
}

/* Read anew for each probe, so that a corrected one is taken. Returns false when *result says why
 * not. */
static bool make_request(RedisRun *run, const ProbeStart *start, ProbeResult *result) {
        const char *name = run->config->redis.password_file;
        STRBUF(words, PROBE_WORDS_SIZE);
        char *password = NULL;
        int r = name ? config_read_secret(start->tools->secrets, name, &password, &words) : 0;

        if (r < 0) {
                probe_result_set(result, OUTCOME_LOCAL, words.text);
                return false;
        }
        r = ask_all(run, password);
        if (password)
                digest_wipe(password, strlen(password));
        free(password);
        if (r < 0)
                probe_result_set_errno(result, r);
        return r >= 0;
}

static int connect_run(RedisRun *run, const ProbeStart *start, TlsContext *tls, const char *name) {
        int r = redis_reader_new(&run->reader);

        if (r >= 0)
                r = stream_new(&run->stream, &(StreamSetup){ .poller = start->tools->poller,
                                                             .address = start->address,
                                                             .whole = run->length,
                                                             .tls = tls,
                                                             .name = name,
                                                             .session = start->memory,
                                                             .now = loop_now(start->tools->loop) });
        if (r >= 0)
                r = send_rest(run);
        return r < 0 && r != -EAGAIN ? r : stream_watch(run->stream, on_ready, run);
}

static int redis_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(redis_run_freep) RedisRun *run = calloc(1, sizeof *run);
        const RedisShared *shared = start->shared;
        TlsContext *tls = NULL;
        const char *name = NULL;
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        run->config = start->config;
        run->trace = start->trace;
        run->done = start->done;
        run->userdata = start->userdata;
        if (!http_tls_choose(shared->tls, start->config, start->target, &tls, &name, ret) ||
            !make_request(run, start, ret))
                return 0;
        r = connect_run(run, start, tls, name);
        if (r < 0) {
                stream_explain(run->stream, r, ret);
                return 0;
        }
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *redis_waiting_for(const void *userdata) {
        const RedisRun *run = userdata;
        const char *owed = run->has_sent ? NULL : stream_waiting_for(run->stream);

        if (owed)
                return owed;
        return !run->has_sent ? "connection" : run->has_received ? "end of the answer" : "answer";
}

static void redis_cancel(void *run) {
        redis_run_free(run);
}

const ProbeKind probe_kind_redis = {
        .name = "redis",
        .addressed = true,
        .prepare = redis_prepare,
        .release = redis_release,
        .memory_new = redis_memory_new,
        .memory_free = redis_memory_free,
        .memory_start_epoch = redis_memory_start_epoch,
        .start = redis_start,
        .waiting_for = redis_waiting_for,
        .cancel = redis_cancel,
};
