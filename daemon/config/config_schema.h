/* config_schema.h: every key of both configuration files, one row each: what it is called, what it
 * takes, where its value goes, what holds when it is absent. Parsing, errors, the dump and the
 * manual's list of keys all read this table. Knows nothing of what keys mean to each other: that is
 * config_check.h. */
#pragma once

#include "macro.h"

typedef enum ConfigSection {
        SECTION_SERVICE, /* the top of a policy file */
        SECTION_RELEASE,
        SECTION_BAKE,
        SECTION_PROBE,
        SECTION_EXPECT,
        SECTION_TLS,
        SECTION_VALUE,          /* one of expect.values */
        SECTION_REQUEST_HEADER, /* of http, one of headers */
        SECTION_EXPECT_HEADER,  /* of http, one of expect.headers */
        SECTION_EXPECT_JSON,    /* of http, one of expect.json */
        SECTION_HTTP_STEP,      /* of http, one of steps */
        SECTION_HTTP_STEP_EXPECT,
        SECTION_TAKE, /* of a step of http, one of take */
        SECTION_SIGNAL,
        SECTION_RULE,
        SECTION_ROLLBACK,
        SECTION_BUDGET,
        SECTION_STEP,
        SECTION_CHANNEL,
        SECTION_DAEMON, /* the top of rollbackd.conf */
        SECTION_LEDGER,
        SECTION_HTTP,
        _SECTION_MAX,
} ConfigSection;

typedef enum ConfigKind {
        KIND_SECTION,  /* a group whose values lie in the same struct */
        KIND_NAMED,    /* a group of named groups: an array of structs that start with their name */
        KIND_LIST,     /* a list of groups: an array of structs */
        KIND_DURATION, /* usec_t */
        KIND_PERCENT,  /* double 0..1 */
        KIND_BYTES,    /* uint64_t */
        KIND_INTEGER,  /* uint32_t or uint64_t */
        KIND_NUMBER,   /* double */
        KIND_BOOL,
        KIND_ENUM, /* int or bool: the number of the word */
        KIND_WORD, /* text, one of the words */
        KIND_TEXT,
        KIND_NAME,       /* of a service, version, probe, rule: the ledger's pattern */
        KIND_VALUE,      /* of a value that a probe reports: letters, digits and _ . / - % */
        KIND_IDENTIFIER, /* of SQL: letters, digits and _ */
        KIND_TABLE,      /* identifier, or schema.identifier */
        KIND_HEADER,     /* name of an HTTP header */
        KIND_POINTER,    /* JSON pointer */
        KIND_SELECTOR,   /* series selector */
        KIND_LABEL,      /* metric.label */
        KIND_LIMIT,      /* Limit: "5%" or "20/s" */
        KIND_CONNINFO,   /* of PostgreSQL, without password */
        KIND_URL,        /* http or https */
        KIND_LISTEN,     /* loopback address and port, or "" */
        KIND_PATH,       /* absolute path */
        KIND_SOCKET,     /* absolute path of at most 107 bytes, or "" */
        KIND_SECRET,     /* name of a file under the secrets directory */
        KIND_CONNECTION, /* uint32_t: "fresh" or "reuse:N" */
        KIND_TARGETS,    /* list of TargetConfig */
        KIND_STATUSES,   /* list of StatusRange */
        KIND_UNITS,      /* list of TargetConfig: units of systemd */
        KIND_CGROUP,     /* path of a control group below the root of them all */
        KIND_TEXTS,      /* list of char * */
        _CONFIG_KIND_MAX,
} ConfigKind;

typedef struct ConfigWords {
        unsigned n;
        const char *(*word)(unsigned i);
} ConfigWords;

typedef struct ConfigKey {
        ConfigSection section;
        const char *key;
        ConfigKind kind;
        size_t offset;        /* of the value in the section's struct */
        size_t size;          /* of the value */
        size_t offset_n;      /* arrays: of the size_t beside */
        size_t element;       /* NAMED, LIST: size of one struct */
        ConfigSection inner;  /* SECTION, NAMED, LIST */
        const char *fallback; /* value when absent, as in the file but without quotes; NULL: none,
                                 or computed as `help` says */
        const char *minimum,
                *maximum; /* inclusive; NULL: none beyond the type's. Of lists: how many entries */
        bool required;
        unsigned kinds; /* bits of the section's kinds that have this key; 0: all */
        bool pace; /* of a probe: says when or how, so that samples before a change still compare */
        const ConfigWords *words;
        const char *help; /* one line */
} ConfigKey;

/* The first row (NULL), or the one after `k`; NULL at the end. */
const ConfigKey *config_schema_next(const ConfigKey *k);
#define CONFIG_SCHEMA_FOREACH(k)                                                                   \
        for (const ConfigKey *k = config_schema_next(NULL); k; k = config_schema_next(k))

/* The row of `key` in a section for an entry of that kind (bit mask; 0: any kind), or NULL. */
const ConfigKey *config_schema_find(ConfigSection section, const char *key, unsigned kind);
/* The path of a section for people: "", "probes.*.expect", "rules[]". */
const char *config_section_path(ConfigSection section);
/* The words of a section's kind, as in `kind = "http"`, or NULL when its entries have no kind. */
const ConfigWords *config_section_kinds(ConfigSection section);
/* The section whose `kind` says which keys this one has: itself, or the one whose struct it shares.
 */
ConfigSection config_section_outer(ConfigSection section);
/* Offset of the line number in a section's struct, or SIZE_MAX. */
size_t config_section_line(ConfigSection section);
