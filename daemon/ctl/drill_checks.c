/* What is asked and not run: the steps behind the commit by their kinds, and the ways of notices.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config_parse.h"
#include "digest.h"
#include "drill.h"
#include "step_kinds.h"

#define CONNECT_TIME (2 * USEC_PER_SEC)

static void check_step(Drill *d, const StepConfig *step, uint64_t n) {
        static const DrillResult results[] = { [STEP_SOUND] = DRILL_GOOD,
                                               [STEP_DOUBTFUL] = DRILL_WARNING,
                                               [STEP_BROKEN] = DRILL_FAILED };
        STRBUF(what, 48);
        STRBUF(words, 256);
        StepFinding finding;
        DrillCheck *c;

        strbuf_add(&what, "step ");
        strbuf_add_u64(&what, n);
        strbuf_add_char(&what, ' ');
        strbuf_add(&what, step_kind_of(step->kind)->name);
        strbuf_add(&what, ", line ");
        strbuf_add_u64(&what, step->line);
        strbuf_add(&words, "can be run under role ");
        strbuf_add(&words, step->role);
        step_check(step, d->ledger, &finding);
        c = drill_add(d, results[finding.health], what.text,
                      finding.health == STEP_SOUND ? words.text : finding.words);
        memcpy(c->advice, finding.advice, sizeof c->advice);
}

/* In the order and with the numbers of an operation's rows. */
void drill_steps(Drill *d) {
        uint64_t n = 0;

        for (int atomic = 1; atomic >= 0; atomic--)
                for (size_t i = 0; i < d->config->n_steps && !*d->stop; i++) {
                        const StepConfig *step = &d->config->steps[i];

                        if (step->generation || step->atomic != (atomic == 1))
                                continue;
                        n++;
                        if (!step->atomic || d->planned_only)
                                check_step(d, step, n);
                }
}

/* Returns 0 once the port has accepted, or a negative errno. */
static int try_address(const struct addrinfo *a, usec_t deadline) {
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                        a->ai_protocol);
        socklen_t size = sizeof(int);
        int r, error = 0;

        if (fd < 0)
                return -errno;
        r = connect(fd, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
        if (r == -EINPROGRESS) {
                struct pollfd p = { .fd = fd, .events = POLLOUT };
                usec_t left = usec_sub(deadline, drill_now());
                int n = poll(&p, 1, (int)((left + USEC_PER_MSEC - 1) / USEC_PER_MSEC));

                if (n > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                        error = errno;
                r = n > 0 ? -error : n == 0 ? -ETIMEDOUT : -errno;
        }
        (void)close(fd);
        return r;
}

/* Returns whether the host accepts a connection; *words say why not. */
static bool is_reachable(const char *host, uint16_t port, StrBuf *words) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        struct addrinfo *found = NULL;
        STRBUF(service, 24);
        usec_t deadline;
        int r;

        strbuf_add_u64(&service, port);
        r = getaddrinfo(host, service.text, &hints, &found);
        if (r != 0) {
                strbuf_add(words, " cannot be resolved: ");
                strbuf_add(words, gai_strerror(r));
                return false;
        }
        deadline = usec_add(drill_now(), CONNECT_TIME);
        r = -ENOENT;
        for (const struct addrinfo *a = found; a && r != 0; a = a->ai_next)
                r = try_address(a, deadline);
        freeaddrinfo(found);
        strbuf_add(words, r == 0 ? " accepts connections" : " does not accept a connection: ");
        strbuf_add(words, r == 0 ? "" : strerrordesc_np(-r));
        return r == 0;
}

static bool check_secret(Drill *d, const ChannelConfig *channel, const char *what) {
        STRBUF(error, 1024);
        char *secret = NULL;

        if (!channel->secret_file)
                return true;
        if (config_read_secret(d->secrets, channel->secret_file, &secret, &error) < 0) {
                drill_add(d, DRILL_FAILED, what, error.text);
                return false;
        }
        digest_wipe(secret, strlen(secret));
        free(secret);
        return true;
}

static void check_notice(Drill *d, const ChannelConfig *channel, uint64_t n) {
        _cleanup_(freep) char *host = NULL;
        STRBUF(what, 48);
        STRBUF(words, 512);
        uint16_t port;
        bool readable, reachable;

        strbuf_add(&what, "notify ");
        strbuf_add_u64(&what, n);
        strbuf_add_char(&what, ' ');
        strbuf_add(&what, channel->kind);
        readable = check_secret(d, channel, what.text);
        if (config_url_destination(channel->url, &host, &port) < 0) {
                drill_add(d, DRILL_FAILED, what.text, "the URL names no host");
                return;
        }
        strbuf_add(&words, host);
        strbuf_add(&words, " port ");
        strbuf_add_u64(&words, port);
        reachable = is_reachable(host, port, &words);
        if (!reachable)
                strbuf_add(&words, "; notices are sent again until they arrive");
        if (readable || !reachable)
                drill_add(d, reachable ? DRILL_GOOD : DRILL_WARNING, what.text, words.text);
}

void drill_notices(Drill *d) {
        for (size_t i = 0; i < d->config->n_notify && !*d->stop; i++)
                check_notice(d, &d->config->notify[i], i + 1);
}
