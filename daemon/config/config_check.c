#include <errno.h>
#include <math.h>

#include "config_check.h"
#include "config_suggest.h"
#include "config_value.h"
#include "pattern.h"

#define TIMEOUT_DEFAULT (2 * USEC_PER_SEC)
#define MIN_SAMPLES_DEFAULT 100

/* Adds a mistake at "GROUP.NAME.KEY". */
static void refuse_named(ConfigErrors *e, unsigned line, const char *group, const char *name,
                         const char *key, const char *words) {
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, group);
        strbuf_add_char(&path, '.');
        strbuf_add(&path, name);
        strbuf_add_char(&path, '.');
        strbuf_add(&path, key);
        config_errors_add(e, line, path.text, words);
}

void config_refuse_probe(ConfigErrors *e, const ProbeConfig *p, const char *key,
                         const char *words) {
        refuse_named(e, p->line, "probes", p->name, key, words);
}

static void refuse_rule(ConfigErrors *e, const ServiceConfig *c, const RuleConfig *r,
                        const char *key, const char *words) {
        STRBUF(path, CONFIG_PATH_SIZE);

        strbuf_add(&path, "rules[");
        strbuf_add_u64(&path, (uint64_t)(r - c->rules));
        strbuf_add(&path, "].");
        strbuf_add(&path, key);
        config_errors_add(e, r->line, path.text, words);
}

size_t config_find_probe(const ServiceConfig *c, const char *name) {
        for (size_t i = 0; i < c->n_probes; i++)
                if (streq(c->probes[i].name, name))
                        return i;
        return SIZE_MAX;
}

size_t config_find_signal(const ServiceConfig *c, const char *name) {
        for (size_t i = 0; i < c->n_signals; i++)
                if (streq(c->signals[i].name, name))
                        return i;
        return SIZE_MAX;
}

static const char *probe_name(const void *userdata, size_t i) {
        return ((const ServiceConfig *)userdata)->probes[i].name;
}

static const char *signal_name(const void *userdata, size_t i) {
        return ((const ServiceConfig *)userdata)->signals[i].name;
}

/* What the targets of a kind are, and what to write. */
static const struct {
        TargetScheme scheme;
        const char *wanted;
        const char *key; /* where they are written; NULL: "targets" */
} targets_of[_PROBE_KIND_MAX] = {
        [PROBE_HTTP] = { TARGET_HTTP,
                         " is no http URL; write http://host:port/path or https://host/path" },
        [PROBE_TCP] = { TARGET_TCP, " is no target of kind \"tcp\"; write host:port" },
        [PROBE_METRICS] = { TARGET_HTTP,
                            " is no http URL; write http://host:port/path or https://host/path" },
        [PROBE_UNIT] = { TARGET_NAMED, "", "units" },
        [PROBE_JOURNAL] = { TARGET_NAMED, "", "units" },
        [PROBE_PRESSURE] = { TARGET_NAMED, "" },
        [PROBE_POSTGRES] = { TARGET_NAMED, "" },
        [PROBE_REDIS] = { TARGET_REDIS, " is no server of Redis; write redis://host:port, "
                                        "rediss://host:port or unix:/run/redis.sock" },
        [PROBE_EXEC] = { TARGET_NAMED, "" },
        [PROBE_PROMQL] = { TARGET_NAMED, "" },
};

int probe_config_add_named(ProbeConfig *p, const char *name) {
        TargetConfig *targets = reallocarray(p->targets, p->n_targets + 1, sizeof *targets);
        char *copy = strdup(name);

        if (targets)
                p->targets = targets;
        if (!targets || !copy) {
                free(copy);
                return -ENOMEM;
        }
        targets[p->n_targets++] = (TargetConfig){ .url = copy, .scheme = TARGET_NAMED };
        return 0;
}

/* The path of a socket says nothing of who listens there. */
static bool is_of_kind(const TargetConfig *t, ProbeKindId kind) {
        return t->scheme == targets_of[kind].scheme ||
               (kind == PROBE_REDIS && t->scheme == TARGET_TCP && t->socket);
}

static bool is_same_target(const TargetConfig *a, const TargetConfig *b) {
        return a->port == b->port && a->scheme == b->scheme && a->tls == b->tls &&
               (a->host && b->host ? strcasecmp(a->host, b->host) == 0 : streq(a->url, b->url)) &&
               streq(a->socket ?: "", b->socket ?: "") && streq(a->path ?: "", b->path ?: "");
}

static void check_targets(const ProbeConfig *p, ConfigErrors *e) {
        for (size_t i = 0; i < p->n_targets; i++) {
                const TargetConfig *t = &p->targets[i];
                STRBUF(words, 512);

                config_add_shown(&words, t->url);
                if (!is_of_kind(t, p->kind)) {
                        strbuf_add(&words, targets_of[p->kind].wanted);
                        refuse_named(e, p->line, "probes", p->name, "targets", words.text);
                        continue;
                }
                for (size_t j = 0; j < i; j++)
                        if (is_same_target(&p->targets[j], t)) {
                                strbuf_add(&words, " is there twice; remove one");
                                refuse_named(e, p->line, "probes", p->name,
                                             targets_of[p->kind].key ?: "targets", words.text);
                                break;
                        }
        }
}

static bool has_tls_keys(const TlsConfig *t) {
        return !t->verify || t->ca_file || t->certificate_file || t->key_file || t->server_name ||
               t->minimum_version != TLS_VERSION_1_2;
}

static bool has_https(const ProbeConfig *p) {
        for (size_t i = 0; i < p->n_targets; i++)
                if (p->targets[i].tls)
                        return true;
        return false;
}

/* Or an address. TLS takes one with a dot in front for every host of that domain. */
static bool is_host_name(const char *text) {
        static const char allowed[] =
                "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:_-";

        return text[0] != '.' && text[strspn(text, allowed)] == '\0';
}

static void check_tls(const ProbeConfig *p, ConfigErrors *e) {
        const TlsConfig *t = &p->tls;

        if (p->kind != PROBE_HTTP && p->kind != PROBE_METRICS && p->kind != PROBE_REDIS)
                return;
        if (has_tls_keys(t) && !has_https(p))
                refuse_named(e, p->line, "probes", p->name, "tls",
                             p->kind == PROBE_REDIS ?
                                     "is there, but no target wants TLS; write rediss:// in "
                                     "targets, or remove it" :
                                     "is there, but no target is an https URL; write https:// in "
                                     "targets, or remove it");
        if (t->key_file && !t->certificate_file)
                refuse_named(e, p->line, "probes", p->name, "tls.key_file",
                             "is there without its certificate; write certificate_file, or remove "
                             "it");
        if (!t->verify && t->ca_file)
                refuse_named(e, p->line, "probes", p->name, "tls.ca_file",
                             "says who may sign, but verify is false; remove one of the two");
        if (t->server_name && !is_host_name(t->server_name))
                refuse_named(e, p->line, "probes", p->name, "tls.server_name",
                             "is no host name; write it without scheme, path or port");
}

/* What a probe asks when nobody names it. */
static void add_target(ProbeConfig *p, ConfigErrors *e) {
        if (p->kind == PROBE_POSTGRES && p->postgres.conninfo &&
            probe_config_add_named(p, p->postgres.conninfo) < 0)
                e->no_memory = true;
        if (p->kind == PROBE_PRESSURE &&
            probe_config_add_named(p, p->pressure.cgroup ?: "host") < 0)
                e->no_memory = true;
}

static void check_message_pattern(const ProbeConfig *p, ConfigErrors *e) {
        _cleanup_(pattern_freep) Pattern *pattern = NULL;
        char why[128] = "";
        STRBUF(words, 1024);
        size_t at;
        int r;

        if (p->kind != PROBE_JOURNAL || !p->journal.matches)
                return;
        r = pattern_new(&pattern, p->journal.matches, &at, why, sizeof why);
        if (r == -ENOMEM)
                e->no_memory = true;
        if (r != -EINVAL)
                return;
        config_add_shown(&words, p->journal.matches);
        strbuf_add(&words, " is wrong at byte ");
        strbuf_add_u64(&words, at);
        strbuf_add(&words, " (");
        strbuf_add(&words, why);
        strbuf_add(&words, "); correct it");
        refuse_named(e, p->line, "probes", p->name, "matches", words.text);
}

static void check_conninfo(const ProbeConfig *p, ConfigErrors *e) {
        const char *conninfo = p->postgres.conninfo,
                   *mistake = conninfo ? config_conninfo_mistake(conninfo) : NULL;

        if (mistake)
                refuse_named(e, p->line, "probes", p->name, "conninfo", mistake);
}

static void check_probe(ProbeConfig *p, const ConfigNode *root, ConfigErrors *e) {
        if (p->timeout == 0)
                p->timeout = MIN(p->interval, TIMEOUT_DEFAULT);
        if (p->timeout > p->interval)
                refuse_named(e, p->line, "probes", p->name, "timeout",
                             "is longer than the interval; a target is probed once at a time, "
                             "write at most the interval");
        if (p->spread > p->interval)
                refuse_named(e, p->line, "probes", p->name, "spread",
                             "is longer than the interval; write at most the interval");
        if (p->fast_interval >= p->interval)
                refuse_named(e, p->line, "probes", p->name, "fast_interval",
                             "is not shorter than the interval; write a shorter one, or remove it");
        if (p->latency > p->timeout)
                refuse_named(e, p->line, "probes", p->name, "expect.latency",
                             "is longer than the timeout, so that no answer could be late; write a "
                             "shorter one, or remove it");
        config_check_values(p, e);
        check_message_pattern(p, e);
        check_conninfo(p, e);
        if (p->kind == PROBE_REDIS && p->redis.user && !p->redis.password_file)
                refuse_named(e, p->line, "probes", p->name, "user",
                             "is there without a password; write password_file, or remove it");
        if (p->kind == PROBE_EXEC)
                config_check_exec(p, e);
        if (p->kind == PROBE_PROMQL)
                config_check_promql(p, e);
        add_target(p, e);
        check_targets(p, e);
        check_tls(p, e);
        if (p->kind == PROBE_HTTP)
                config_check_http(p, root, e);
}

/* The regular expressions of a selector, which its parser leaves alone. */
static void check_patterns(const SignalConfig *s, const char *key, const char *text,
                           ConfigErrors *e) {
        Selector selector;
        const char *ignored;
        size_t at;

        if (!text || selector_parse(text, &selector, &at, &ignored) < 0)
                return;
        for (size_t i = 0; i < selector.n_matchers; i++) {
                const Matcher *m = &selector.matchers[i];
                _cleanup_(pattern_freep) Pattern *pattern = NULL;
                char why[128] = "";
                STRBUF(words, 1024);

                if (m->kind != MATCHER_REGEX && m->kind != MATCHER_NOT_REGEX)
                        continue;
                if (pattern_new(&pattern, m->value, &at, why, sizeof why) >= 0)
                        continue;
                strbuf_add(&words, "the regular expression ");
                config_add_shown(&words, m->value);
                strbuf_add(&words, " is wrong at byte ");
                strbuf_add_u64(&words, at);
                strbuf_add(&words, " (");
                strbuf_add(&words, why);
                strbuf_add(&words, "); correct it");
                refuse_named(e, s->line, "signals", s->name, key, words.text);
        }
}

static void check_signal(const ServiceConfig *c, const SignalConfig *s, ConfigErrors *e) {
        size_t i = config_find_probe(c, s->probe);
        STRBUF(words, 512);

        check_patterns(s, "bad", s->bad, e);
        check_patterns(s, "total", s->total, e);
        if (i == SIZE_MAX) {
                strbuf_add(&words, "there is no probe ");
                config_add_shown(&words, s->probe);
                config_suggest_name(s->probe, c->n_probes, probe_name, c, &words);
                refuse_named(e, s->line, "signals", s->name, "probe", words.text);
                return;
        }
        if (c->probes[i].line == 0)
                return;
        if (c->probes[i].dependency)
                refuse_named(e, s->line, "signals", s->name, "probe",
                             "is a dependency, which is no evidence about this service; name a "
                             "probe of the service itself");
        else if (s->kind != SIGNAL_AVAILABILITY && c->probes[i].kind != PROBE_METRICS)
                refuse_named(e, s->line, "signals", s->name, "probe",
                             "is not of kind \"metrics\", and only those have counters; name a "
                             "metrics probe");
}

static void check_down(const ServiceConfig *c, const RuleConfig *r, ConfigErrors *e) {
        size_t i = config_find_probe(c, r->probe);
        STRBUF(words, 512);

        if (i == SIZE_MAX) {
                strbuf_add(&words, "there is no probe ");
                config_add_shown(&words, r->probe);
                config_suggest_name(r->probe, c->n_probes, probe_name, c, &words);
                refuse_rule(e, c, r, "probe", words.text);
        } else if (c->probes[i].line > 0 && c->probes[i].dependency) {
                refuse_rule(e, c, r, "probe",
                            "is a dependency, which is no evidence about this service; name a "
                            "probe of the service itself");
        }
}

/* A rate is judged per second, everything else is a share. */
static void check_limits(const ServiceConfig *c, const RuleConfig *r, bool rate, ConfigErrors *e) {
        const char *wanted =
                rate ? "is a share, but the signal is a rate; write events per second such as "
                       "\"20/s\"" :
                       "is a rate, but the signal is a share; write a share such as \"5%\"";

        if (r->enter.per_second != rate)
                refuse_rule(e, c, r, "enter", wanted);
        if (r->leave.per_second != rate)
                refuse_rule(e, c, r, "leave", wanted);
        if (r->enter.per_second != rate || r->leave.per_second != rate)
                return;
        if (!rate && r->enter.value >= 1)
                refuse_rule(e, c, r, "enter", "can never be exceeded; write less than 100%");
        if (r->leave.value <= 0)
                refuse_rule(e, c, r, "leave", "can never be fallen below; write more than 0");
        if (r->leave.value > r->enter.value)
                refuse_rule(e, c, r, "leave", "is above enter; write at most enter");
}

static void check_threshold(const ServiceConfig *c, RuleConfig *r, ConfigErrors *e) {
        size_t i = config_find_signal(c, r->signal);
        STRBUF(words, 512);
        bool rate;

        if (i == SIZE_MAX) {
                strbuf_add(&words, "there is no signal ");
                config_add_shown(&words, r->signal);
                config_suggest_name(r->signal, c->n_signals, signal_name, c, &words);
                refuse_rule(e, c, r, "signal", words.text);
                return;
        }
        if (c->signals[i].line == 0)
                return;
        rate = c->signals[i].kind == SIGNAL_RATE;
        check_limits(c, r, rate, e);
        if (rate && !isnan(r->min_samples))
                refuse_rule(e, c, r, "min_samples", "has no meaning for a rate; remove it");
        if (!rate && isnan(r->min_samples))
                r->min_samples = MIN_SAMPLES_DEFAULT;
}

static void check_rules(ServiceConfig *c, ConfigErrors *e) {
        for (size_t i = 0; i < c->n_rules; i++) {
                RuleConfig *r = &c->rules[i];

                if (r->line == 0)
                        continue;
                for (size_t j = 0; j < i; j++)
                        if (c->rules[j].name && streq(c->rules[j].name, r->name)) {
                                refuse_rule(e, c, r, "name",
                                            "is the name of an earlier rule too; write another");
                                break;
                        }
                if (r->kind == RULE_DOWN)
                        check_down(c, r, e);
                else
                        check_threshold(c, r, e);
        }
}

static bool has_ratio(const ServiceConfig *c) {
        for (size_t i = 0; i < c->n_signals; i++)
                if (c->signals[i].line == 0 || c->signals[i].kind == SIGNAL_RATIO)
                        return true;
        return false;
}

static bool has_rollback_rule(const ServiceConfig *c) {
        for (size_t i = 0; i < c->n_rules; i++)
                if (c->rules[i].line == 0 || c->rules[i].response == RESPONSE_ROLLBACK)
                        return true;
        return false;
}

/* The line of a key of a top-level group, or of the group. */
static unsigned line_of(const ConfigNode *root, const char *group, const char *key) {
        const ConfigNode *n = config_node_get(root, group), *inner;

        if (!n)
                return config_node_line(root);
        inner = config_node_type(n) == CONFIG_GROUP ? config_node_get(n, key) : NULL;
        return config_node_line(inner ?: n);
}

static void check_rollback(const ServiceConfig *c, const ConfigNode *root, ConfigErrors *e) {
        const RollbackPolicy *p = &c->policy.rollback;
        unsigned bake = line_of(root, "release", "bake"),
                 strategy = line_of(root, "rollback", "strategy");

        if (c->policy.release.bake_requests > 0 && !has_ratio(c))
                config_errors_add(e, bake, "release.bake.requests",
                                  "needs a signal of kind \"ratio\" that counts requests; add one, "
                                  "or remove it");
        if (p->mode == MODE_AUTOMATIC && !has_rollback_rule(c))
                config_errors_add(e, line_of(root, "rollback", "mode"), "rollback.mode",
                                  "is \"automatic\", but no rule asks for a rollback; write "
                                  "response = \"rollback\" in a rule");
        if (p->strategy == STRATEGY_VERSION && !p->version)
                config_errors_add(
                        e, strategy, "rollback.version",
                        "is missing; strategy \"version\" needs the version to go back to");
        if (p->strategy != STRATEGY_VERSION && p->version)
                config_errors_add(e, line_of(root, "rollback", "version"), "rollback.version",
                                  "is only for strategy \"version\"; remove it, or write strategy "
                                  "= \"version\"");
}

void config_check_service(ServiceConfig *c, const ConfigNode *root, ConfigErrors *e) {
        unsigned before = e->n;

        if (e->no_memory)
                return;
        for (size_t i = 0; i < c->n_probes; i++)
                if (c->probes[i].line > 0)
                        check_probe(&c->probes[i], root, e);
        for (size_t i = 0; i < c->n_signals; i++)
                if (c->signals[i].line > 0)
                        check_signal(c, &c->signals[i], e);
        check_rules(c, e);
        config_check_steps(c, root, e);
        /* A group of the top that could not be read holds defaults, and these would be blamed for
         * what was meant. */
        if (before == 0)
                check_rollback(c, root, e);
}

void config_check_daemon(const DaemonConfig *c, const ConfigNode *root, ConfigErrors *e) {
        if (c->password_file && !c->conninfo)
                config_errors_add(e, line_of(root, "ledger", "password_file"),
                                  "ledger.password_file",
                                  "is given without ledger.conninfo; write both, or none");
        if (!*c->socket && !*c->listen)
                config_errors_add(e, line_of(root, "http", "socket"), "http.socket",
                                  "and http.listen are both empty, so that nobody could ask "
                                  "anything; write at least one");
}
