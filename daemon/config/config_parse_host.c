/* config_parse_host.c: names of things of this host: units, control groups. */
#include <errno.h>

#include "config_parse.h"

#define UNIT_NAME_MAX 255
#define CGROUP_PATH_MAX 1024

static bool is_unit_suffix(const char *suffix) {
        static const char *const suffixes[] = { ".service",   ".socket", ".device", ".mount",
                                                ".automount", ".swap",   ".target", ".path",
                                                ".timer",     ".slice",  ".scope" };

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++)
                if (streq(suffix, suffixes[i]))
                        return true;
        return false;
}

int config_parse_unit(const char *text, TargetConfig *ret, const char **reterr_why) {
        size_t n = strlen(text), allowed = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz"
                                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@");
        const char *suffix = strrchr(text, '.'), *at = strchr(text, '@');
        TargetConfig t = { .scheme = TARGET_NAMED };

        if (n == 0 || n > UNIT_NAME_MAX || allowed < n)
                return -EINVAL;
        if (!suffix || suffix == text || at == text || !is_unit_suffix(suffix)) {
                *reterr_why = "has no suffix of a unit; write the whole name, such as "
                              "\"users-api.service\"";
                return -EINVAL;
        }
        if (at && at + 1 == suffix) {
                *reterr_why = "is a template, which has no state; write an instance of it, such as "
                              "\"worker@1.service\"";
                return -EINVAL;
        }
        t.url = strdup(text);
        if (!t.url)
                return -ENOMEM;
        *ret = t;
        return 0;
}

int config_parse_cgroup(const char *text, _unused_ const char **reterr_why) {
        if (strlen(text) > CGROUP_PATH_MAX)
                return -EINVAL;
        for (const char *p = text;; p++) {
                size_t n = strcspn(p, "/");

                if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
                        return -EINVAL;
                for (size_t i = 0; i < n; i++)
                        if ((unsigned char)p[i] <= ' ' || p[i] == 0x7f)
                                return -EINVAL;
                p += n;
                if (!*p)
                        return 0;
        }
}
