/* config_parse.h: the parsers of single texts of configuration that are more than a number: names,
 * targets, URLs, addresses, limits. Each takes one text whole or refuses it with the reason. Knows
 * no keys. */
#pragma once

#include "config.h"

/* Each returns 0 or -EINVAL; *reterr_why (static text) says what is wrong and what to write when
 * the general form would not tell; else it is untouched. */
int config_parse_name(const char *text, const char **reterr_why) _must_check_;
int config_parse_value_name(const char *text, const char **reterr_why) _must_check_;
int config_parse_identifier(const char *text, const char **reterr_why) _must_check_;
int config_parse_table(const char *text, const char **reterr_why) _must_check_;
int config_parse_header(const char *text, const char **reterr_why) _must_check_;
int config_parse_pointer(const char *text, const char **reterr_why) _must_check_;
int config_parse_selector(const char *text, const char **reterr_why) _must_check_;
/* "fresh" is 0. */
int config_parse_connection(const char *text, uint64_t *ret_reuse,
                            const char **reterr_why) _must_check_;
int config_parse_label(const char *text, const char **reterr_why) _must_check_;
int config_parse_conninfo(const char *text, const char **reterr_why) _must_check_;
int config_parse_url(const char *text, const char **reterr_why) _must_check_;
int config_parse_listen(const char *text, const char **reterr_why) _must_check_;
int config_parse_path(const char *text, const char **reterr_why) _must_check_;
int config_parse_socket(const char *text, const char **reterr_why) _must_check_;
int config_parse_secret(const char *text, const char **reterr_why) _must_check_;
int config_parse_cgroup(const char *text, const char **reterr_why) _must_check_;
int config_parse_limit(const char *text, Limit *ret, const char **reterr_why) _must_check_;
int config_parse_status(const char *text, StatusRange *ret, const char **reterr_why) _must_check_;
/* Also -ENOMEM. The texts in *ret are the caller's, to be freed by target_config_done(). */
int config_parse_target(const char *text, TargetConfig *ret, const char **reterr_why) _must_check_;
/* A unit of systemd with its suffix; the same. */
int config_parse_unit(const char *text, TargetConfig *ret, const char **reterr_why) _must_check_;
void target_config_done(TargetConfig *t);
/* Where a URL that config_parse_url() takes is connected to: the host to be freed. Returns 0,
 * -EINVAL or -ENOMEM. */
int config_url_destination(const char *url, char **ret_host, uint16_t *ret_port) _must_check_;
