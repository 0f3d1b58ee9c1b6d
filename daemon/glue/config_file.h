/* config_file.h: one configuration file read once and parsed from that buffer, over libconfig.
 * Refuses what libconfig 1.5 cannot be trusted with: NUL, @include, numbers that it would truncate.
 * Hands out a read-only tree of nodes with file and line. Knows no keys. */
#pragma once

#include "config_text.h"

#define CONFIG_FILE_MAX (1024 * 1024)

typedef struct ConfigFile ConfigFile;
typedef struct ConfigNode ConfigNode; /* borrowed from its file */

typedef enum ConfigType {
        CONFIG_GROUP,
        CONFIG_LIST /* list or array */,
        CONFIG_TEXT,
        CONFIG_INTEGER,
        CONFIG_FLOAT,
        CONFIG_BOOL
} ConfigType;

/* Reads and parses. `owner_checked`: the file must be a regular one, owned by root or by our
 * effective uid, not writable by group or others. Returns 0, or a negative errno with one line
 * "file:line: what is wrong, what to do" in *reterr. */
int config_file_read(ConfigFile **ret, const char *path, bool owner_checked,
                     StrBuf *reterr) _must_check_;
ConfigFile *config_file_free(ConfigFile *f);
DEFINE_CLEANUP(ConfigFile *, config_file_free);
const char *config_file_path(const ConfigFile *f);
/* The raw text as read, for its hash. */
const char *config_file_text(const ConfigFile *f, size_t *ret_size);
const ConfigNode *config_file_root(const ConfigFile *f);

ConfigType config_node_type(const ConfigNode *n);
const char *config_type_words(ConfigType t);
const char *config_node_name(const ConfigNode *n); /* NULL in a list */
unsigned config_node_line(const ConfigNode *n);
size_t config_node_length(const ConfigNode *n);
const ConfigNode *config_node_at(const ConfigNode *n, size_t i);
const ConfigNode *config_node_get(const ConfigNode *n, const char *name);
const char *config_node_text(const ConfigNode *n);
int64_t config_node_integer(const ConfigNode *n);
double config_node_float(const ConfigNode *n);
bool config_node_bool(const ConfigNode *n);
