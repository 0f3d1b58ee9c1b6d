/* config_schema_rows.h: what the tables of rows (schema_*.c) are written with. Nobody else includes
 * it. */
#pragma once

#include "config_schema.h"

#define BIT(kind) (1U << (kind))
#define AT(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define ARRAY(type, member)                                                                        \
        AT(type, member), .offset_n = offsetof(type, n_##member),                                  \
                          .element = sizeof(*((type *)0)->member)
/* The same for a member of a struct inside: ARRAY_IN(ProbeConfig, http, steps). */
#define ARRAY_IN(type, outer, member)                                                              \
        AT(type, outer.member), .offset_n = offsetof(type, outer.n_##member),                      \
                                .element = sizeof(*((type *)0)->outer.member)

typedef struct ConfigTable {
        const ConfigKey *rows;
        size_t n;
} ConfigTable;

extern const ConfigTable config_schema_service;
extern const ConfigTable config_schema_probe;
extern const ConfigTable config_schema_tls;
extern const ConfigTable config_schema_unit;
extern const ConfigTable config_schema_journal;
extern const ConfigTable config_schema_pressure;
extern const ConfigTable config_schema_postgres;
extern const ConfigTable config_schema_redis;
extern const ConfigTable config_schema_exec;
extern const ConfigTable config_schema_promql;
extern const ConfigTable config_schema_http;
extern const ConfigTable config_schema_judge;
extern const ConfigWords config_server_roles;
extern const ConfigTable config_schema_step;
extern const ConfigTable config_schema_daemon;
