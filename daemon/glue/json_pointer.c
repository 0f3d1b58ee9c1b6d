/* json_pointer.c: a path of names and places through a document (RFC 6901). */
#include "json.h"
#include "number.h"

/* Takes the name behind a slash, "~1" for "/" and "~0" for "~". Returns where the rest begins, or
 * NULL for what is no pointer. */
static const char *take_name(const char *p, char name[static JSON_POINTER_MAX + 1]) {
        size_t n = 0;

        for (; *p && *p != '/'; p++) {
                if (n >= JSON_POINTER_MAX)
                        return NULL;
                if (*p == '~' && p[1] != '0' && p[1] != '1')
                        return NULL;
                if (*p == '~')
                        name[n++] = *++p == '0' ? '~' : '/';
                else
                        name[n++] = *p;
        }
        name[n] = '\0';
        return p;
}

static const Json *element(const Json *array, const char *name) {
        uint64_t i;

        if ((name[0] == '0' && name[1]) || number_parse_u64(name, strlen(name), &i) < 0 ||
            i >= json_length(array))
                return NULL;
        return json_at(array, (size_t)i);
}

const Json *json_at_pointer(const Json *j, const char *pointer) {
        char name[JSON_POINTER_MAX + 1];

        while (j && *pointer) {
                if (*pointer != '/')
                        return NULL;
                pointer = take_name(pointer + 1, name);
                if (!pointer)
                        return NULL;
                j = json_is_array(j) ? element(j, name) : json_member(j, name);
        }
        return j;
}
