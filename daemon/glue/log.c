/* log.c: the journal's native protocol by hand, because sd_journal_send() waits for a journal that
 * does not read: one datagram of fields per message, never blocking. There is one log per process,
 * so its state is the one static object of the daemon. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "number.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define LOG_SENTENCE_MAX (32 * 1024) /* what is longer is cut, with LOG_CUT at its end */
#define LOG_VALUE_MAX 2048           /* of one field */
#define LOG_FIELDS_MAX 12
#define LOG_CUT " [cut]"
/* The sentence, every field with its name and length, and our own fields. Below the kernel's
 * default limit of a datagram (212,992). */
#define LOG_DATAGRAM_MAX (LOG_SENTENCE_MAX + (LOG_FIELDS_MAX + 4) * (LOG_VALUE_MAX + 128))

typedef struct Log {
        struct sockaddr_un
                journal; /* named with each datagram, so that a restarted journal is found again */
        int fd;          /* -1: stderr */
        bool stream_of_journal; /* stderr is read by the journal: lines begin with their priority */
        uint64_t lost, lost_said;
} Log;

static Log the_log = { .fd = -1 };

static const char *priority(Severity s) {
        switch (s) {
        case SEVERITY_INFO:
                return "6";
        case SEVERITY_NOTICE:
                return "5";
        case SEVERITY_WARNING:
                return "4";
        case SEVERITY_CRITICAL:
                return "2";
        }
        return "3";
}

/* $JOURNAL_STREAM names the device and inode of the stream that systemd made; stderr may have been
 * redirected since. */
static bool is_journal_stream(int fd) {
        const char *text = getenv("JOURNAL_STREAM"), *colon = text ? strchr(text, ':') : NULL;
        uint64_t device, inode;
        struct stat s;

        return colon && number_parse_u64(text, (size_t)(colon - text), &device) == 0 &&
               number_parse_u64(colon + 1, strlen(colon + 1), &inode) == 0 && fstat(fd, &s) == 0 &&
               s.st_dev == device && s.st_ino == inode;
}

int log_open_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, probe, r = 0;

        assert(path);
        log_close();
        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (probe < 0 || connect(probe, (const struct sockaddr *)&address, sizeof address) < 0)
                r = -errno;
        if (probe >= 0)
                (void)close(probe);
        if (r < 0) {
                (void)close(fd);
                return r;
        }
        the_log.fd = fd;
        the_log.journal = address;
        return 0;
}

int log_open(bool foreground) {
        int r = foreground ? 0 : log_open_at(JOURNAL_SOCKET);

        if (the_log.fd >= 0 && foreground)
                log_close();
        the_log.stream_of_journal = is_journal_stream(STDERR_FILENO);
        return r;
}

void log_close(void) {
        if (the_log.fd >= 0)
                (void)close(the_log.fd);
        the_log.fd = -1;
}

uint64_t log_lost(void) {
        return the_log.lost;
}

/* Appends text escaped and, when longer than `max`, cut. */
static void add_cut(StrBuf *b, const char *text, size_t max) {
        STRBUF(escaped, LOG_SENTENCE_MAX);

        escaped.size = MIN(max - strlen(LOG_CUT), sizeof escaped_storage);
        strbuf_add_escaped(&escaped, text, strlen(text));
        strbuf_add_n(b, escaped.text, escaped.length);
        if (escaped.overflow)
                strbuf_add(b, LOG_CUT);
}

static void add_field(StrBuf *b, const char *name, const char *value) {
        size_t n = strnlen(value, LOG_VALUE_MAX + 1);
        bool cut = n > LOG_VALUE_MAX;
        uint64_t length;

        if (cut)
                n = LOG_VALUE_MAX - strlen(LOG_CUT);
        strbuf_add(b, name);
        /* The binary form: name, newline, length in 64 bits little-endian, value, newline; a
         * newline in the value starts no field of its own. */
        strbuf_add_char(b, '\n');
        length = n + (cut ? strlen(LOG_CUT) : 0);
        for (unsigned i = 0; i < sizeof length; i++)
                strbuf_add_char(b, (char)(length >> (8 * i) & 0xff));
        strbuf_add_n(b, value, n);
        if (cut)
                strbuf_add(b, LOG_CUT);
        strbuf_add_char(b, '\n');
}

static bool send_journal(Severity severity, const char *message_id, const LogField *fields,
                         size_t n, const char *sentence) {
        STRBUF(b, LOG_DATAGRAM_MAX);

        strbuf_add(&b, "MESSAGE=");
        add_cut(&b, sentence, LOG_SENTENCE_MAX);
        strbuf_add(&b, "\nPRIORITY=");
        strbuf_add(&b, priority(severity));
        strbuf_add(&b, "\nSYSLOG_IDENTIFIER=rollbackd\n");
        if (message_id)
                add_field(&b, "MESSAGE_ID", message_id);
        for (size_t i = 0; i < n; i++)
                if (fields[i].value)
                        add_field(&b, fields[i].name, fields[i].value);
        assert(!b.overflow);
        return sendto(the_log.fd, b.text, b.length, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (const struct sockaddr *)&the_log.journal,
                      sizeof the_log.journal) == (ssize_t)b.length;
}

/* Writes what fits without waiting; false when something was left. A pipe takes PIPE_BUF bytes once
 * it polls writable; its flags are shared with other processes, so they stay as they are. */
static bool write_stderr(const char *text, size_t n) {
        while (n > 0) {
                struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
                ssize_t written = send(STDERR_FILENO, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (written < 0 && errno == ENOTSOCK) {
                        if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
                                return false;
                        written = write(STDERR_FILENO, text, MIN(n, (size_t)PIPE_BUF));
                }
                if (written < 0)
                        return false;
                text += written;
                n -= (size_t)written;
        }
        return true;
}

static bool send_stderr(Severity severity, const char *sentence) {
        STRBUF(b, LOG_SENTENCE_MAX + 64);

        if (the_log.stream_of_journal) {
                strbuf_add(&b, "<");
                strbuf_add(&b, priority(severity));
                strbuf_add(&b, ">");
        } else {
                strbuf_add(&b, severity_to_string(severity));
                strbuf_add(&b, ": ");
        }
        add_cut(&b, sentence, LOG_SENTENCE_MAX);
        strbuf_add(&b, "\n");
        return write_stderr(b.text, b.length);
}

static bool send_message(Severity severity, const char *message_id, const LogField *fields,
                         size_t n, const char *sentence) {
        return the_log.fd >= 0 ? send_journal(severity, message_id, fields, n, sentence) :
                                 send_stderr(severity, sentence);
}

void log_say_lost(void) {
        STRBUF(b, 160);
        uint64_t lost = the_log.lost - the_log.lost_said;

        if (lost == 0)
                return;
        strbuf_add_u64(&b, lost);
        strbuf_add(
                &b,
                " log messages were lost, because whoever reads the log did not take them at once");
        if (send_message(SEVERITY_WARNING, NULL, NULL, 0, b.text))
                the_log.lost_said = the_log.lost;
}

void log_event(Severity severity, const char *message_id, const LogField *fields, size_t n,
               const char *sentence) {
        int saved = errno;

        assert(sentence && n <= LOG_FIELDS_MAX && (fields || n == 0));
        if (send_message(severity, message_id, fields, n, sentence))
                log_say_lost();
        else
                the_log.lost++;
        errno = saved;
}

void log_message(Severity severity, const char *format, ...) {
        /* One byte more than fits, so that a longer sentence is seen to be cut. */
        char sentence[LOG_SENTENCE_MAX + 1];
        int saved = errno;
        va_list arguments;

        va_start(arguments, format);
        (void)vsnprintf(sentence, sizeof sentence, format, arguments);
        va_end(arguments);
        errno = saved;
        log_event(severity, NULL, NULL, 0, sentence);
}
