/* config_check.h: what the keys of one policy file mean to each other: references, units that must
 * agree, keys that need or exclude others; and the defaults that depend on other keys. Knows no
 * syntax. */
#pragma once

#include "config.h"
#include "config_tree.h"

/* Checks a filled ServiceConfig and completes its computed defaults. `root` tells which keys the
 * file gives. Entries with line 0 had mistakes of their own and are passed over. */
void config_check_service(ServiceConfig *c, const ConfigNode *root, ConfigErrors *e);
/* The part about steps. */
void config_check_steps(ServiceConfig *c, const ConfigNode *root, ConfigErrors *e);
/* The part about limits on values. */
void config_check_values(const ProbeConfig *p, ConfigErrors *e);
/* What is wrong with the conninfo of a probe, static words, or NULL. */
const char *config_conninfo_mistake(const char *conninfo);
/* The parts about probes of these kinds, whose only target they make. */
void config_check_exec(ProbeConfig *p, ConfigErrors *e);
void config_check_promql(ProbeConfig *p, ConfigErrors *e);
/* Adds a mistake at "probes.NAME.KEY". */
void config_refuse_probe(ConfigErrors *e, const ProbeConfig *p, const char *key, const char *words);
/* The part about one probe of kind http. */
void config_check_http(ProbeConfig *p, const ConfigNode *root, ConfigErrors *e);
/* Of rollbackd.conf. */
void config_check_daemon(const DaemonConfig *c, const ConfigNode *root, ConfigErrors *e);

/* Makes policy from the checked configuration: arrays, operands, identities. Returns 0, -EINVAL
 * after adding the mistake, or -ENOMEM. */
int config_make_policy(ServiceConfig *c, ConfigErrors *e) _must_check_;
/* Frees what config_make_policy() made. */
void config_policy_done(ServiceConfig *c);
/* Index of the probe or signal of that name, or SIZE_MAX. */
size_t config_find_probe(const ServiceConfig *c, const char *name);
size_t config_find_signal(const ServiceConfig *c, const char *name);
