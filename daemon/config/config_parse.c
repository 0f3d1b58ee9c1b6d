#include <errno.h>
#include <math.h>

#include "config_parse.h"
#include "json.h"
#include "number.h"

#define IDENTIFIER_MAX 63   /* NAMEDATALEN - 1 of PostgreSQL */
#define SOCKET_PATH_MAX 107 /* sun_path without its NUL */
#define SECRET_NAME_MAX 255
#define HEADER_NAME_MAX 127

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* True when the first `n` bytes are letters, digits or of `others`. */
static bool consists_of(const char *text, size_t n, const char *others) {
        for (size_t i = 0; i < n; i++)
                if (!is_letter(text[i]) && !is_digit(text[i]) &&
                    (!text[i] || !strchr(others, text[i])))
                        return false;
        return true;
}

int config_parse_name(const char *text, _unused_ const char **reterr_why) {
        size_t n = strlen(text);

        if (n == 0 || n >= NAME_SIZE || !consists_of(text, 1, "") || !consists_of(text, n, "._+-"))
                return -EINVAL;
        return 0;
}

int config_parse_value_name(const char *text, _unused_ const char **reterr_why) {
        size_t n = strlen(text);

        return n > 0 && n < SAMPLE_VALUE_NAME_SIZE && consists_of(text, n, "_./%-") ? 0 : -EINVAL;
}

static bool is_identifier(const char *text, size_t n) {
        return n > 0 && n <= IDENTIFIER_MAX && !is_digit(text[0]) && consists_of(text, n, "_");
}

int config_parse_identifier(const char *text, _unused_ const char **reterr_why) {
        return is_identifier(text, strlen(text)) ? 0 : -EINVAL;
}

int config_parse_table(const char *text, _unused_ const char **reterr_why) {
        const char *dot = strchr(text, '.');

        if (!dot)
                return config_parse_identifier(text, reterr_why);
        if (!is_identifier(text, (size_t)(dot - text)))
                return -EINVAL;
        return config_parse_identifier(dot + 1, reterr_why);
}

int config_parse_header(const char *text, _unused_ const char **reterr_why) {
        size_t n = strlen(text);

        return n > 0 && n <= HEADER_NAME_MAX && consists_of(text, n, "!#$%&'*+-.^_`|~") ? 0 :
                                                                                          -EINVAL;
}

/* RFC 6901: names behind slashes, with ~0 for ~ and ~1 for /; "" is the whole document. */
int config_parse_pointer(const char *text, const char **reterr_why) {
        if (strlen(text) > JSON_POINTER_MAX) {
                *reterr_why = "is longer than 256 bytes; write a shorter one";
                return -EINVAL;
        }
        if (*text && *text != '/')
                return -EINVAL;
        for (const char *p = strchr(text, '~'); p; p = strchr(p + 1, '~'))
                if (p[1] != '0' && p[1] != '1')
                        return -EINVAL;
        return 0;
}

int config_parse_selector(const char *text, const char **reterr_why) {
        Selector selector;
        size_t at;

        return selector_parse(text, &selector, &at, reterr_why);
}

int config_parse_label(const char *text, _unused_ const char **reterr_why) {
        char metric[256], label[256];

        return selector_parse_label_path(text, metric, sizeof metric, label, sizeof label);
}

/* A keyword `password` or `sslpassword` anywhere: in a "key = value" list, or in the query of a
 * URI, where libpq takes percent-encoded keys too. */
static bool has_password(const char *text) {
        const char *authority = strstr(text, "://");
        size_t n;

        for (const char *p = strstr(text, "password"); p; p = strstr(p + 1, "password"))
                if (p[strlen("password") + strspn(p + strlen("password"), " \t\n\r\f\v")] == '=')
                        return true;
        if (!authority ||
            (strncmp(text, "postgresql:", 11) != 0 && strncmp(text, "postgres:", 9) != 0))
                return false;
        authority += 3;
        n = strcspn(authority, "/?#@");
        if (authority[n] == '@' && memchr(authority, ':', n))
                return true;
        return strchr(text, '?') && strchr(strchr(text, '?'), '%');
}

int config_parse_conninfo(const char *text, const char **reterr_why) {
        if (text[strspn(text, " \t\r\n")] == '\0') {
                *reterr_why = "says nothing; write for example \"service=rollbackd\" or "
                              "\"host=/run/postgresql dbname=platform\"";
                return -EINVAL;
        }
        if (!has_password(text))
                return 0;
        *reterr_why = "may contain a password (its text is not repeated here); write the password "
                      "to a secret and name it in password_file";
        return -EINVAL;
}

#define PORT_REQUIRED UINT64_MAX

/* Takes "host:port", "[address]:port" or, with a default port, "host". *end is what follows. */
static int parse_authority(const char *text, uint64_t default_port, TargetConfig *ret,
                           const char **end) {
        bool bracket = text[0] == '[';
        const char *host = text + (bracket ? 1 : 0), *p;
        size_t n = strspn(
                host, bracket ?
                              "0123456789abcdefABCDEF:." :
                              "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-_");
        uint64_t port = default_port;

        if (n == 0 || n > 253 || host[0] == '.' || (bracket && host[n] != ']'))
                return -EINVAL;
        p = host + n + (bracket ? 1 : 0);
        if (*p == ':') {
                size_t digits = strspn(p + 1, "0123456789");

                if (digits > 5 || number_parse_u64(p + 1, digits, &port) < 0)
                        return -EINVAL;
                p += 1 + digits;
        }
        if (port > UINT16_MAX)
                return -EINVAL;
        ret->host = strndup(host, n);
        if (!ret->host)
                return -ENOMEM;
        ret->port = (uint16_t)port;
        *end = p;
        return 0;
}

/* The same for what is connected to, where port 0 means nothing. */
static int parse_destination(const char *text, uint64_t default_port, TargetConfig *ret,
                             const char **end) {
        int r = parse_authority(text, default_port, ret, end);

        return r == 0 && ret->port == 0 ? -EINVAL : r;
}

void target_config_done(TargetConfig *t) {
        free(t->url);
        free(t->host);
        free(t->socket);
        free(t->path);
        *t = (TargetConfig){ 0 };
}

static bool is_printable_ascii(const char *text) {
        for (; *text; text++)
                if (*text <= ' ' || *text >= 0x7f)
                        return false;
        return true;
}

/* What http URLs, of probes and of webhooks, must not have. */
static int check_url(const char *text, const char *authority, const char **reterr_why) {
        if (!is_printable_ascii(text))
                *reterr_why = "has a blank or a byte that is not ASCII; write it percent-encoded";
        else if (memchr(authority, '@', strcspn(authority, "/?#")))
                *reterr_why = "names a user; write the URL without user and password";
        else if (strchr(text, '#'))
                *reterr_why = "has a fragment; write the URL without # and what follows";
        else
                return 0;
        return -EINVAL;
}

/* "unix:/path", up to `end`, a NUL or a colon. The host is what a request's Host says. */
static int parse_socket(const char *text, TargetConfig *t, const char **end,
                        const char **reterr_why) {
        size_t n = strcspn(text, ":");

        if (*text != '/') {
                *reterr_why = "names no absolute path behind unix:; write unix:/run/app.sock";
                return -EINVAL;
        }
        if (n > SOCKET_PATH_MAX) {
                *reterr_why = "names a socket path of more than 107 bytes; write a shorter one";
                return -EINVAL;
        }
        t->socket = strndup(text, n);
        t->host = strdup("localhost");
        if (!t->socket || !t->host)
                return -ENOMEM;
        *end = text + n;
        return 0;
}

static int copy_path(const char *end, TargetConfig *t, const char **reterr_why) {
        /* A query without a path still asks for "/". */
        const char *rest = end + (*end == '/' ? 1 : 0);

        if (strlen(rest) >= HTTP_PATH_MAX) {
                *reterr_why = "has a path and query of more than 2048 bytes; write a shorter one";
                return -EINVAL;
        }
        t->path = malloc(strlen(rest) + 2);
        if (!t->path)
                return -ENOMEM;
        t->path[0] = '/';
        memcpy(t->path + 1, rest, strlen(rest) + 1);
        return 0;
}

/* "http://unix:/run/app.sock:/path", as reverse proxies write it. */
static int parse_http_socket(const char *text, TargetConfig *t, const char **reterr_why) {
        const char *end;
        int r = parse_socket(text, t, &end, reterr_why);

        t->port = t->tls ? 443 : 80;
        if (r < 0)
                return r;
        return copy_path(end + (*end == ':' ? 1 : 0), t, reterr_why);
}

static int parse_http_target(const char *text, TargetConfig *t, const char **reterr_why) {
        const char *authority = strstr(text, "://") + 3, *end;
        int r;

        t->tls = strncmp(text, "https", 5) == 0;
        t->scheme = TARGET_HTTP;
        r = check_url(text, authority, reterr_why);
        if (r < 0)
                return r;
        if (strncmp(authority, "unix:", 5) == 0)
                return parse_http_socket(authority + 5, t, reterr_why);
        r = parse_destination(authority, t->tls ? 443 : 80, t, &end);
        if (r < 0)
                return r;
        if (*end && *end != '/' && *end != '?')
                return -EINVAL;
        return copy_path(end, t, reterr_why);
}

static int parse_redis_target(const char *text, TargetConfig *t, const char **reterr_why) {
        const char *authority = strstr(text, "://") + 3, *end;
        int r;

        t->tls = strncmp(text, "rediss", 6) == 0;
        t->scheme = TARGET_REDIS;
        if (strchr(authority, '@')) {
                *reterr_why = "names a user; write the URL without, and user and password_file "
                              "beside targets";
                return -EINVAL;
        }
        r = parse_destination(authority, 6379, t, &end);
        if (r == 0 && *end && !streq(end, "/")) {
                *reterr_why = "has more than host and port; write the number of the database into "
                              "database";
                r = -EINVAL;
        }
        return r;
}

int config_parse_target(const char *text, TargetConfig *ret, const char **reterr_why) {
        bool tcp = strncmp(text, "tcp://", 6) == 0;
        TargetConfig t = { 0 };
        const char *end = "";
        int r;

        if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
                r = parse_http_target(text, &t, reterr_why);
        } else if (strncmp(text, "redis://", 8) == 0 || strncmp(text, "rediss://", 9) == 0) {
                r = parse_redis_target(text, &t, reterr_why);
        } else if (strncmp(text, "unix:", 5) == 0) {
                t.scheme = TARGET_TCP;
                r = parse_socket(text + 5, &t, &end, reterr_why);
        } else {
                t.scheme = TARGET_TCP;
                r = parse_destination(text + (tcp ? 6 : 0), PORT_REQUIRED, &t, &end);
        }
        if (r == 0 && t.scheme == TARGET_TCP && *end)
                r = -EINVAL;
        if (r == 0) {
                t.url = strdup(text);
                r = t.url ? 0 : -ENOMEM;
        }
        if (r < 0) {
                target_config_done(&t);
                return r;
        }
        *ret = t;
        return 0;
}

int config_parse_connection(const char *text, uint64_t *ret_reuse, const char **reterr_why) {
        static const char reuse[] = "reuse:";
        const char *digits = text + sizeof reuse - 1;
        uint64_t n;

        if (streq(text, "fresh")) {
                *ret_reuse = 0;
                return 0;
        }
        if (strncmp(text, reuse, sizeof reuse - 1) != 0 ||
            number_parse_u64(digits, strlen(digits), &n) < 0)
                return -EINVAL;
        if (n < 2 || n > CONFIG_REUSE_MAX) {
                *reterr_why =
                        "is no number of probes over one connection; write \"fresh\" for one, "
                        "or from 2 to 1000000";
                return -EINVAL;
        }
        *ret_reuse = n;
        return 0;
}

int config_parse_url(const char *text, const char **reterr_why) {
        const char *authority = strstr(text, "://"), *end;
        TargetConfig t = { 0 };
        int r;

        if (strncmp(text, "http://", 7) != 0 && strncmp(text, "https://", 8) != 0)
                return -EINVAL;
        authority += 3;
        r = check_url(text, authority, reterr_why);
        if (r < 0)
                return r;
        r = parse_destination(authority, 80, &t, &end);
        if (r == 0 && *end && *end != '/' && *end != '?')
                r = -EINVAL;
        target_config_done(&t);
        return r;
}

int config_url_destination(const char *url, char **ret_host, uint16_t *ret_port) {
        bool tls = strncmp(url, "https://", 8) == 0;
        const char *authority = strstr(url, "://"), *end;
        TargetConfig t = { 0 };
        int r = authority ? parse_destination(authority + 3, tls ? 443 : 80, &t, &end) : -EINVAL;

        if (r < 0)
                return r;
        *ret_host = t.host;
        *ret_port = t.port;
        return 0;
}

int config_parse_listen(const char *text, const char **reterr_why) {
        TargetConfig t = { 0 };
        const char *end;
        int r;

        if (!*text)
                return 0;
        /* Port 0, the kernel's choice, is for listening alone. */
        r = parse_authority(text, PORT_REQUIRED, &t, &end);
        if (r == 0 && *end)
                r = -EINVAL;
        if (r == 0 && !streq(t.host, "127.0.0.1") && !streq(t.host, "::1")) {
                *reterr_why = "is no loopback address; write 127.0.0.1 or [::1], and let a TLS "
                              "proxy of yours serve others";
                r = -EINVAL;
        }
        target_config_done(&t);
        return r;
}

int config_parse_path(const char *text, _unused_ const char **reterr_why) {
        return text[0] == '/' && strlen(text) < 4096 ? 0 : -EINVAL;
}

int config_parse_socket(const char *text, const char **reterr_why) {
        if (!*text)
                return 0;
        if (strlen(text) > SOCKET_PATH_MAX) {
                *reterr_why = "is longer than 107 bytes, the most that a socket's path may have; "
                              "write a shorter one";
                return -EINVAL;
        }
        return config_parse_path(text, reterr_why);
}

int config_parse_secret(const char *text, _unused_ const char **reterr_why) {
        size_t n = strlen(text);

        return n > 0 && n <= SECRET_NAME_MAX && text[0] != '.' && consists_of(text, n, "._+-") ?
                       0 :
                       -EINVAL;
}

int config_parse_limit(const char *text, Limit *ret, _unused_ const char **reterr_why) {
        size_t n = strlen(text);
        Limit limit = { .per_second = n > 2 && streq(text + n - 2, "/s") };
        int r;

        if (limit.per_second)
                r = number_parse_double(text, n - 2, &limit.value);
        else
                r = number_parse_percent(text, &limit.value);
        if (r < 0 || !isfinite(limit.value) || limit.value < 0)
                return -EINVAL;
        *ret = limit;
        return 0;
}

int config_parse_status(const char *text, StatusRange *ret, _unused_ const char **reterr_why) {
        size_t n = strlen(text);
        uint64_t low, high;

        if ((n != 3 && n != 7) || (n == 7 && text[3] != '-'))
                return -EINVAL;
        if (number_parse_u64(text, 3, &low) < 0 || number_parse_u64(text + n - 3, 3, &high) < 0)
                return -EINVAL;
        if (low < 100 || high > 599 || low > high)
                return -EINVAL;
        *ret = (StatusRange){ .low = (uint16_t)low, .high = (uint16_t)high };
        return 0;
}
