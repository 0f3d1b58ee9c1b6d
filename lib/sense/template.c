#include <errno.h>

#include "template.h"

static bool is_name_byte(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("._+-", c));
}

static int take_name(const char **text, TemplatePiece *ret) {
        const char *start = *text + 2, *p = start;

        while (is_name_byte(*p))
                p++;
        if (p == start || *p != '}')
                return -EINVAL;
        *ret = (TemplatePiece){ .text = { .p = start, .n = (size_t)(p - start) }, .name = true };
        *text = p + 1;
        return 1;
}

int template_next(const char **text, TemplatePiece *ret) {
        const char *start = *text, *p;

        if (!*start)
                return 0;
        if (strncmp(start, "${", 2) == 0)
                return take_name(text, ret);
        /* Of "$${" the first is passed over, and the rest is literal. */
        if (strncmp(start, "$${", 3) == 0)
                start++;
        p = start + (*start == '$');
        while (*p && strncmp(p, "${", 2) != 0 && strncmp(p, "$${", 3) != 0)
                p++;
        *ret = (TemplatePiece){ .text = { .p = start, .n = (size_t)(p - start) } };
        *text = p;
        return 1;
}
