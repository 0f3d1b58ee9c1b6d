#include <errno.h>

#include "config_check.h"
#include "pg.h"

static bool names_several(const char *conninfo, const char *keyword) {
        STRBUF(text, 4096);
        int r = pg_conninfo_value(conninfo, keyword, &text);

        return (r == 0 || r == -ENOSPC) && strchr(text.text, ',');
}

const char *config_conninfo_mistake(const char *conninfo) {
        STRBUF(text, 4096);

        if (pg_conninfo_value(conninfo, "host", &text) == -EINVAL)
                return "is no connection string of libpq; write for example \"service=users\"";
        if (names_several(conninfo, "host") || names_several(conninfo, "hostaddr"))
                return "names several hosts, of which a dead one would hide the others; write a "
                       "probe for each";
        return NULL;
}
