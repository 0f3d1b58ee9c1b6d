/* config_probe.h: the configuration of one probe: what all kinds have, and a struct for each kind
 * that has more. Immutable once made. Knows nothing of how probes are made. A text that the file
 * does not give is NULL, a number without a value NAN. */
#pragma once

#include "config_http.h"
#include "policy.h"
#include "selector.h"
#include "tls.h"

#define CONFIG_REUSE_MAX 1000000
/* Addresses of one target that is a name which are probed. */
#define TARGET_ADDRESSES_MAX 16

typedef enum TargetScheme {
        TARGET_HTTP,
        TARGET_TCP,
        TARGET_REDIS,
        TARGET_NAMED, /* no address: a unit, a program, this host; `url` names it */
} TargetScheme;

typedef struct TargetConfig {
        char *url; /* as written */
        TargetScheme scheme;
        char *host; /* name or numeric address, without brackets; "localhost" of a unix socket */
        uint16_t port;
        char *socket; /* path of a unix socket, instead of host and port; NULL: none */
        char *path;   /* of http: path and query, at least "/" */
        bool tls;     /* https, rediss */
} TargetConfig;

typedef struct OperandConfig {
        char *text;
        Selector selector; /* stays where it is: allocated once, not moved */
} OperandConfig;

typedef enum ProbeKindId {
        PROBE_HTTP,
        PROBE_TCP,
        PROBE_METRICS,
        PROBE_POSTGRES,
        PROBE_REDIS,
        PROBE_UNIT,
        PROBE_JOURNAL,
        PROBE_PRESSURE,
        PROBE_EXEC,
        PROBE_PROMQL,
        _PROBE_KIND_MAX
} ProbeKindId;

typedef struct JournalConfig {
        uint32_t priority; /* of syslog: this one and those below count */
        char *matches;     /* regular expression on the message; NULL: any */
} JournalConfig;

typedef struct PressureConfig {
        char *cgroup; /* below the root of control groups; NULL: the whole host */
        char *disk;   /* path on the file system whose room counts; NULL: none */
} PressureConfig;

/* What a database server is to its peers. */
typedef enum ServerRole { ROLE_ANY, ROLE_PRIMARY, ROLE_REPLICA, _ROLE_MAX } ServerRole;

typedef struct PostgresConfig {
        char *conninfo;      /* one server, without password */
        char *password_file; /* name of a secret; NULL: none */
        char *query;     /* one statement that reads; NULL: only what the server says of itself */
        ServerRole role; /* wanted */
} PostgresConfig;

typedef struct RedisConfig {
        char *user;          /* NULL: the default user */
        char *password_file; /* name of a secret; NULL: none */
        uint32_t database;
        ServerRole role; /* wanted */
} RedisConfig;

typedef struct ExecConfig {
        char **command; /* the program's absolute path, then its arguments */
        size_t n_command;
        bool warning_is_bad;
} ExecConfig;

/* What becomes of several series. */
typedef enum Reduction {
        REDUCE_NONE, /* they are refused */
        REDUCE_MAX,
        REDUCE_MIN,
        REDUCE_SUM,
        REDUCE_AVG,
        REDUCE_COUNT,
        _REDUCE_MAX,
} Reduction;

typedef struct PromqlConfig {
        char *url, *query;
        Reduction reduce;
        usec_t max_age;
        char *tenant;               /* of X-Scope-OrgID; NULL: none */
        char *user, *password_file; /* both or none */
        char *token_file;
} PromqlConfig;

/* A limit on one of the values that a probe reports, of any kind. */
typedef struct ValueExpectation {
        char *name;
        double at_least, at_most; /* NAN: no limit */
        unsigned line;
} ValueExpectation;

/* http, metrics: how their https targets are spoken to. */
typedef struct TlsConfig {
        bool verify;            /* false: any certificate will do */
        char *ca_file;          /* NULL: those that the host trusts */
        char *certificate_file; /* NULL: none */
        char *key_file;         /* name of a secret; NULL: certificate_file holds the key */
        TlsVersion minimum_version;
        char *server_name; /* NULL: the target's host */
} TlsConfig;

typedef struct ProbeConfig {
        char *name;
        ProbeKindId kind;
        TargetConfig *targets; /* kinds without addresses have one for each thing that they ask */
        size_t n_targets;
        usec_t interval, fast_interval, timeout; /* fast_interval 0: none */
        usec_t spread;   /* first starts lie within it; 0: within the interval */
        usec_t name_ttl; /* of targets that are names: how long their addresses are good */
        uint32_t rise, fall;
        bool dependency;
        usec_t latency;           /* a good answer that takes longer is bad; 0: any */
        ValueExpectation *values; /* limits on reported values */
        size_t n_values;
        uint32_t reuse; /* probes over one connection before it is renewed; 0: one each */
        TlsConfig tls;
        HttpProbeConfig http;
        char *version_label;      /* metrics: "metric.label"; NULL: none */
        uint64_t max_body;        /* bytes */
        OperandConfig **operands; /* metrics: what the signals read, each once */
        size_t n_operands;
        JournalConfig journal;
        PressureConfig pressure;
        PostgresConfig postgres;
        RedisConfig redis;
        ExecConfig exec;
        PromqlConfig promql;
        unsigned line;
} ProbeConfig;

/* Whether the target is a name, which may have many addresses: of the engine's targets of a probe
 * the first ones stand for the configured targets, and then come TARGET_ADDRESSES_MAX - 1 for each
 * name, in their order. */
bool target_config_is_name(const TargetConfig *t);
/* Makes the next target of a kind without addresses: its name, which is copied. Returns 0 or
 * -ENOMEM. */
int probe_config_add_named(ProbeConfig *p, const char *name) _must_check_;
