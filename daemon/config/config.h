/* config.h: configuration as values: one policy file makes a ServiceConfig, rollbackd.conf a
 * DaemonConfig. Both are immutable once made and freed as a whole. Knows nothing of sockets or SQL;
 * the schema that they are made by is config_schema.h. A text that the file does not give is NULL,
 * a number without a value NAN. */
#pragma once

#include "config_file.h"
#include "config_probe.h"

#define CONFIG_STEPS_MAX 32
#define CONFIG_NOTIFY_MAX 16
#define CONFIG_SERVICES_MAX 4096
#define CONFIG_MISTAKES_MAX 20        /* of one file, that are told one by one */
#define CONFIG_ERROR_SIZE (32 * 1024) /* room for them all: what *reterr should offer */
#define CONFIG_SECRET_MAX (64 * 1024)

typedef struct SignalConfig {
        char *name;
        SignalKind kind;
        char *probe;
        char *bad, *total; /* selectors: ratio; a rate has only `bad` */
        unsigned line;
} SignalConfig;

typedef struct Limit {
        double value; /* a share 0..1, or events per second */
        bool per_second;
} Limit;

typedef struct RuleConfig {
        char *name;
        RuleKind kind;
        Response response;
        usec_t hold;
        char *probe;     /* down */
        double at_least; /* down: share of targets */
        char *signal;    /* threshold */
        usec_t over;
        Limit enter, leave;
        double dispersion;
        double min_samples, min_bad; /* NAN for a rate, which has none */
        unsigned line;
} RuleConfig;

typedef enum StepKindId { STEP_SQL, STEP_CACHE, STEP_SESSION, _STEP_KIND_MAX } StepKindId;

typedef struct StepConfig {
        StepKindId kind;
        bool atomic;              /* sql */
        bool abort_on_error;      /* sql, atomic: on_error = "abort" */
        char *role;               /* NULL for a generation */
        char *store;              /* cache, session: "postgres"; NULL for a generation */
        char *statement;          /* sql */
        char *table, *key;        /* cache; table may be schema.table */
        char *prefix, *delimiter; /* cache: delimiter "" or the character at which the prefix ends
                                     (default ":", already at the prefix' end is fine) */
        char *where;              /* session */
        char *generation;         /* cache, session: bump this generation instead of deleting */
        uint32_t batch;           /* rows per commit, <= 5000; 0 for a generation */
        usec_t timeout;           /* of one statement; 0 for a generation */
        unsigned line;
} StepConfig;

typedef struct ChannelConfig { /* an entry of notify or alerts */
        char *kind;            /* "webhook" */
        char *url;
        char *secret_file; /* name under the secrets directory; NULL: unsigned */
        unsigned line;
} ChannelConfig;

typedef struct ServiceConfig {
        char *path; /* of the file */
        char *service;
        char hash[65]; /* SHA-256 of the file's text */
        ProbeConfig *probes;
        size_t n_probes;
        StepConfig *steps;
        size_t n_steps;
        ChannelConfig *notify;
        size_t n_notify;
        SignalConfig *signals; /* as written; policy.signals is what the judge reads */
        size_t n_signals;
        RuleConfig *rules; /* as written; policy.rules is what the judge reads */
        size_t n_rules;
        Policy policy; /* its arrays and names belong to this ServiceConfig */
} ServiceConfig;

typedef struct DaemonConfig {
        char *path;
        char *conninfo;        /* NULL: no ledger configured */
        char *password_file;   /* ledger.password_file: name of a secret, NULL: none */
        char *socket;          /* http.socket, "" : none */
        char *listen;          /* http.listen, "" : none */
        ChannelConfig *alerts; /* at most one */
        size_t n_alerts;
        char *policies; /* directory */
        char *secrets;  /* directory */
        usec_t retention;
} DaemonConfig;

/* Reads one policy file. On error returns a negative errno with every mistake found, one per line
 * "file:line: key: what is wrong, what to write", in *reterr. */
int config_read_service(const char *path, ServiceConfig **ret, StrBuf *reterr) _must_check_;
/* Frees; NULL and half-built ones too. */
ServiceConfig *service_config_free(ServiceConfig *c);
DEFINE_CLEANUP(ServiceConfig *, service_config_free);

/* The same for rollbackd.conf. */
int config_read_daemon(const char *path, DaemonConfig **ret, StrBuf *reterr) _must_check_;
DaemonConfig *daemon_config_free(DaemonConfig *c);
DEFINE_CLEANUP(DaemonConfig *, daemon_config_free);

/* The policy files of a directory in C-locale order: every "*.conf" that does not start with a dot.
 * Each entry has either `config` or `error`. Two files of one service: the second is an error that
 * names the first. */
typedef struct PolicyFile {
        char *path;
        char *service; /* when it could be read, else NULL */
        ServiceConfig *config;
        char *error; /* lines */
} PolicyFile;
int config_read_directory(const char *path, PolicyFile **ret, size_t *ret_n,
                          StrBuf *reterr) _must_check_;
void policy_files_free(PolicyFile *files, size_t n);

/* The whole value as configuration text with every default filled in, every key with its unit;
 * secrets are names, and a conninfo with a password is never accepted. To be freed; NULL when
 * memory is short. */
char *config_dump_service(const ServiceConfig *c);
char *config_dump_daemon(const DaemonConfig *c);
/* Appends the path that the secret is read from now. Returns whether it is a credential, which the
 * service manager copies at the start only. */
#define CONFIG_SECRET_PATH_MAX (4096 + 256)
bool config_find_secret(const char *directory, const char *name, StrBuf *path);
/* Reads a secret by name: $CREDENTIALS_DIRECTORY first, then the secrets directory. Refuses a file
 * that others may read. Returns the text without its last newline, to be wiped and freed. */
int config_read_secret(const char *directory, const char *name, char **ret,
                       StrBuf *reterr) _must_check_;
