#include <stdio.h>

#include "manager_internal.h"

Awaited *awaited_new(Manager *m, uint32_t handle, const char *operation) {
        Awaited *a = calloc(1, sizeof *a);

        if (!a)
                return NULL;
        a->manager = m;
        a->handle = handle;
        snprintf(a->service, sizeof a->service, "%s", manager_service_name(m, handle));
        snprintf(a->operation, sizeof a->operation, "%s", operation);
        a->next = m->awaited;
        a->place = &m->awaited;
        if (a->next)
                a->next->place = &a->next;
        m->awaited = a;
        return a;
}

Awaited *awaited_free(Awaited *a) {
        if (!a)
                return NULL;
        *a->place = a->next;
        if (a->next)
                a->next->place = a->place;
        free(a);
        return NULL;
}

bool awaited_is_present(const Awaited *a) {
        return streq(manager_service_name(a->manager, a->handle), a->service);
}
