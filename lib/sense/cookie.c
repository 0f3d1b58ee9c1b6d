#include <errno.h>

#include "cookie.h"
#include "http_response.h"

/* Takes what stands before the first `sign`, or all of it, off *rest. */
static Slice take_until(Slice *rest, char sign) {
        const char *p = rest->n > 0 ? memchr(rest->p, sign, rest->n) : NULL;
        size_t n = p ? (size_t)(p - rest->p) : rest->n, used = n + (p != NULL);
        Slice taken = { .p = rest->p, .n = n };

        if (used > 0)
                *rest = (Slice){ .p = rest->p + used, .n = rest->n - used };
        return http_trim(taken);
}

static bool is_secure(Slice attribute) {
        static const char word[] = "secure";

        if (attribute.n != sizeof word - 1)
                return false;
        for (size_t i = 0; i < attribute.n; i++)
                if ((attribute.p[i] | 0x20) != word[i])
                        return false;
        return true;
}

int cookie_parse(Slice header, Cookie *ret) {
        Slice rest = header, pair = take_until(&rest, ';'), name;
        Cookie cookie = { 0 };

        for (size_t i = 0; i < pair.n; i++)
                if ((unsigned char)pair.p[i] < 0x20 || pair.p[i] == 0x7f)
                        return -EINVAL;
        if (pair.n == 0 || !memchr(pair.p, '=', pair.n))
                return -EINVAL;
        name = take_until(&pair, '=');
        if (name.n == 0)
                return -EINVAL;
        cookie.name = name;
        cookie.value = http_trim(pair);
        while (rest.n > 0)
                cookie.secure |= is_secure(take_until(&rest, ';'));
        *ret = cookie;
        return 0;
}
