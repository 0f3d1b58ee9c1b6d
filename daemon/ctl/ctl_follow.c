/* `rollbackctl follow`: at the start and at each change of the pointer the file is written, then
 * the command is run, until both have succeeded for the newest release. Whatever came in between
 * while a command ran is passed over. The file is looked at again at each reading of the pointer.
 */
#include <errno.h>
#include <stdarg.h>
#include <sys/stat.h>

#include "digest.h"
#include "follow.h"

#define COMMAND_TIMEOUT (60 * USEC_PER_SEC)
#define RETRY_MIN USEC_PER_SEC
#define RETRY_MAX (60 * USEC_PER_SEC)

typedef struct Pointer {
        char version[NAME_SIZE];
        uint64_t epoch; /* 0: none */
} Pointer;

typedef struct Follow {
        const char *service;
        const char *path;        /* or NULL */
        const char *const *argv; /* or NULL */
        mode_t mode;
        Loop *loop;
        LoopTimer *retry;
        PointerWatch *watch;
        FollowCommand *command; /* or NULL */
        Pointer newest, tried;
        bool settled;             /* all succeeded for `tried` */
        char previous[NAME_SIZE]; /* the version for which it last did */
        unsigned attempts;        /* that failed, for `newest` */
        uint64_t seed;
        bool ready; /* once settled */
        bool away, ending;
        bool lost; /* the file, afterwards: said, and not over yet */
} Follow;

void follow_say(const char *service, const char *format, ...) {
        char text[1024];
        STRBUF(before, NAME_SIZE + 32);
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        strbuf_add(&before, "rollbackctl follow ");
        strbuf_add(&before, service);
        strbuf_add(&before, ": ");
        print_failure(before.text, text);
}

/* For people who look at the unit; `trouble`: what failed last, or NULL. */
static void tell_manager(Follow *f, const char *trouble) {
        STRBUF(b, 1024);

        strbuf_add(&b, f->ready ? "READY=1\nSTATUS=" : "STATUS=");
        strbuf_add(&b, f->service);
        strbuf_add(&b, f->ready ? " " : " at no version yet");
        strbuf_add(&b, f->previous);
        if (f->newest.epoch > 0) {
                if (!f->settled) {
                        strbuf_add(&b, ", the pointer says ");
                        strbuf_add(&b, f->newest.version);
                }
                strbuf_add(&b, ", epoch ");
                strbuf_add_u64(&b, f->newest.epoch);
        }
        if (trouble) {
                strbuf_add(&b, ", trying again: ");
                strbuf_add_escaped(&b, trouble, strlen(trouble));
        }
        if (f->away)
                strbuf_add(&b, ", the ledger is away");
        loop_notify(f->loop, b.text);
}

static bool is_same(const Pointer *a, const Pointer *b) {
        return a->epoch == b->epoch && streq(a->version, b->version);
}

/* Full jitter under a ceiling that doubles. */
static void fail(Follow *f, const char *what, const char *why) {
        usec_t ceiling = RETRY_MIN << MIN(f->attempts, 6u),
               delay = usec_jitter(MIN(ceiling, RETRY_MAX), &f->seed);
        STRBUF(words, 768);
        STRBUF(in, 64);

        strbuf_add(&words, what);
        strbuf_add(&words, ": ");
        strbuf_add(&words, why);
        strbuf_add_usec_words(&in, delay);
        f->attempts++;
        follow_say(f->service, "version %s: %s; trying again in %s", f->tried.version, words.text,
                   in.text);
        tell_manager(f, words.text);
        loop_timer_set(f->retry, usec_add(loop_now(f->loop), delay));
}

static void settle(Follow *f) {
        f->settled = f->ready = true;
        f->lost = false;
        f->attempts = 0;
        memcpy(f->previous, f->tried.version, sizeof f->previous);
        follow_say(f->service, "version %s, epoch %llu", f->tried.version,
                   (unsigned long long)f->tried.epoch);
        tell_manager(f, NULL);
}

static void run_command(Follow *f) {
        const FollowRelease release = { .service = f->service,
                                        .version = f->tried.version,
                                        .previous = f->previous,
                                        .epoch = f->tried.epoch };
        int r = follow_command_start(f->command, &release);

        if (r < 0)
                fail(f, f->argv[0], strerrordesc_np(-r));
}

/* Acts on the newest release unless that is done, or a command is still running. */
static void act(Follow *f) {
        int r;

        if (f->ending || follow_command_is_running(f->command) || f->newest.epoch == 0 ||
            (f->settled && is_same(&f->newest, &f->tried)))
                return;
        loop_timer_set(f->retry, USEC_INFINITY);
        f->tried = f->newest;
        f->settled = false;
        r = f->path ? follow_file_write(f->path, f->tried.version, f->mode) : 0;
        if (r < 0)
                fail(f, f->path, strerrordesc_np(-r));
        else if (f->command)
                run_command(f);
        else
                settle(f);
}

static void on_retry(void *userdata, usec_t now _unused_) {
        act(userdata);
}

static void on_command_done(void *userdata, const char *failure) {
        Follow *f = userdata;
        bool newest = is_same(&f->newest, &f->tried);

        if (!failure)
                settle(f);
        else if (newest && !f->ending)
                fail(f, f->argv[0], failure);
        else
                follow_say(f->service, "version %s: %s: %s", f->tried.version, f->argv[0], failure);
        if (f->ending)
                loop_exit(f->loop, EXIT_OK);
        else if (!newest)
                act(f);
}

/* Somebody may have taken the file away since. The command is not run for it: the release is the
 * same. */
static void keep_file(Follow *f) {
        const char *version = f->tried.version;
        int r = follow_file_write(f->path, version, f->mode);
        STRBUF(words, 768);

        if (r >= 0) {
                if (r > 0)
                        follow_say(f->service, "%s did not say version %s any more: written again",
                                   f->path, version);
                if (f->lost)
                        tell_manager(f, NULL);
                f->lost = false;
                return;
        }
        strbuf_add(&words, f->path);
        strbuf_add(&words, ": ");
        strbuf_add(&words, strerrordesc_np(-r));
        if (!f->lost)
                follow_say(f->service,
                           "%s does not say version %s any more, and cannot be written: %s; trying "
                           "again",
                           f->path, version, strerrordesc_np(-r));
        f->lost = true;
        tell_manager(f, words.text);
}

static void on_pointer(void *userdata, const char *version, uint64_t epoch) {
        Pointer found = { .epoch = epoch };
        Follow *f = userdata;
        bool was_away = f->away;
        StrBuf b;

        strbuf_init(&b, found.version, sizeof found.version);
        strbuf_add(&b, version);
        f->away = false;
        if (!is_same(&found, &f->newest)) {
                if (epoch < f->newest.epoch)
                        follow_say(f->service,
                                   "the epoch went back from %llu to %llu (was the ledger restored "
                                   "from a backup?); followed all the same",
                                   (unsigned long long)f->newest.epoch, (unsigned long long)epoch);
                f->newest = found;
                f->attempts = 0;
                act(f);
                if (follow_command_is_running(f->command))
                        tell_manager(f, NULL);
        } else if (f->settled) {
                if (was_away)
                        tell_manager(f, NULL);
                if (f->path)
                        keep_file(f);
        }
}

static void on_away(void *userdata) {
        Follow *f = userdata;

        f->away = true;
        tell_manager(f, NULL);
}

static void on_refused(void *userdata, ExitCode code) {
        Follow *f = userdata;

        loop_exit(f->loop, (int)code);
}

/* The first signal waits for a running command, which has its own time; the second does not. */
static void on_signal(void *userdata, int signal_number _unused_) {
        Follow *f = userdata;

        if (f->ending || !follow_command_is_running(f->command)) {
                loop_exit(f->loop, EXIT_OK);
                return;
        }
        f->ending = true;
        loop_notify(f->loop, "STOPPING=1");
        follow_say(f->service, "ending once %s has ended; another signal kills it", f->argv[0]);
}

static int prepare(Follow *f, const CommandLine *line) {
        usec_t timeout = COMMAND_TIMEOUT;
        int r;

        if (line->values[OPTION_TIMEOUT] && usec_parse(line->values[OPTION_TIMEOUT], &timeout) < 0)
                return -EINVAL;
        r = digest_random(&f->seed, sizeof f->seed);
        if (r < 0)
                return r;
        r = loop_new(&f->loop);
        if (r < 0)
                return r;
        r = loop_add_signal(f->loop, SIGTERM, on_signal, f);
        if (r < 0)
                return r;
        r = loop_add_signal(f->loop, SIGINT, on_signal, f);
        if (r < 0)
                return r;
        r = loop_add_timer(f->loop, on_retry, f, "retry", &f->retry);
        if (r < 0 || !f->argv)
                return r;
        return follow_command_new(&f->command, f->loop, f->argv, timeout, on_command_done, f);
}

static ExitCode start_watch(Follow *f, const CommandLine *line) {
        const PointerOwner owner = { .on_pointer = on_pointer,
                                     .on_away = on_away,
                                     .on_refused = on_refused,
                                     .userdata = f };
        char *conninfo = NULL, *password = NULL;
        ExitCode code = sql_find_database(line, &conninfo, &password);
        int r;

        if (code != EXIT_OK)
                return code;
        r = pointer_watch_new(&f->watch, f->loop, f->service, conninfo, password, f->seed + 1,
                              &owner);
        sql_wipe(conninfo);
        sql_wipe(password);
        if (r == -EINVAL)
                follow_say(f->service, "the conninfo cannot be parsed (it is not shown, for it may "
                                       "hold a password): write keyword=value pairs, a "
                                       "postgresql:// URI, or service=NAME");
        else if (r < 0)
                follow_say(f->service, "cannot start: %s", strerrordesc_np(-r));
        return r < 0 ? EXIT_FAILED : EXIT_OK;
}

ExitCode run_follow(const Verb *verb _unused_, const CommandLine *line) {
        Follow f = { .service = line->arguments[0],
                     .path = line->values[OPTION_FILE],
                     .argv = line->n_arguments > 1 ? line->arguments + 1 : NULL };
        mode_t mask = umask(0);
        ExitCode code = EXIT_FAILED;
        int r;

        (void)umask(mask);
        f.mode = 0644 & ~mask;
        /* Ignored, it would take the commands' ends away from us. */
        (void)signal(SIGCHLD, SIG_DFL);
        r = prepare(&f, line);
        if (r >= 0) {
                code = start_watch(&f, line);
                if (code == EXIT_OK)
                        r = loop_run(f.loop);
        }
        if (r < 0) {
                follow_say(f.service, "cannot go on: %s", strerrordesc_np(-r));
                code = EXIT_FAILED;
        } else if (code == EXIT_OK)
                code = (ExitCode)r;
        follow_command_free(f.command);
        pointer_watch_free(f.watch);
        loop_timer_free(f.retry);
        loop_free(f.loop);
        return code;
}
