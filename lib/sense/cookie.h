/* cookie.h: the value of a Set-Cookie header, as far as one run of a probe needs it: name, value
 * and whether it is for TLS alone. Path, domain and expiry are passed over: the run is short and
 * speaks to one host. Knows nothing of where cookies are kept. */
#pragma once

#include "exposition.h"

typedef struct Cookie {
        Slice name, value; /* of the header */
        bool secure;
} Cookie;

/* Returns 0, or -EINVAL for what no cookie could be made of: no name, or a byte that cannot stand
 * in a header. */
int cookie_parse(Slice header, Cookie *ret) _must_check_;
