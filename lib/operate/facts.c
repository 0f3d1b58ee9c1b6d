#include "facts.h"

#include <errno.h>

static const char *const kinds[_RELEASE_KIND_MAX] = {
        [RELEASE_REGISTER] = "register",
        [RELEASE_DEPLOY] = "deploy",
        [RELEASE_ROLLBACK] = "rollback",
        [RELEASE_RESTORE] = "restore",
};

const char *release_kind_to_string(ReleaseKind k) {
        return kinds[k];
}

int release_kind_from_string(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                if (streq(kinds[i], s))
                        return (int)i;
        return -EINVAL;
}
