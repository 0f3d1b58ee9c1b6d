/* pattern.c: PCRE2, interpreted (a just-in-time compiler wants memory that is writable and
 * executable), with every limit set. */
#include "pattern.h"

#include "strbuf.h"

#include <errno.h>
#include <stdint.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_TEXT_MAX 1024      /* bytes of an expression; a policy's are far shorter */
#define PATTERN_MATCH_LIMIT 100000 /* calls of the matcher per text: a few milliseconds at most */
/* The same for a search, which takes a few for each byte that it passes: some 40 milliseconds. */
#define PATTERN_SEARCH_LIMIT 500000
/* What a search puts around an expression: within one match, so that the limit is of all of it. */
#define SEARCH_BEFORE "(?s:.*?)(?:"
#define SEARCH_AFTER ")"
#define PATTERN_DEPTH_LIMIT 10000 /* backtracking points that are open at once */
#define PATTERN_HEAP_LIMIT 2048   /* KiB */

struct Pattern {
        pcre2_code *code;
        pcre2_match_data *data;
        pcre2_match_context *limits;
};

static int refuse(size_t at, const char *why, size_t *reterr_at, char *reterr_why,
                  size_t why_size) {
        StrBuf words;

        if (reterr_at)
                *reterr_at = at;
        if (reterr_why && why_size > 0) {
                strbuf_init(&words, reterr_why, why_size);
                strbuf_add(&words, why);
        }
        return -EINVAL;
}

#define OPTIONS_WHOLE                                                                              \
        (PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY | PCRE2_UTF |    \
         PCRE2_NEVER_BACKSLASH_C)
#define OPTIONS_SEARCH (PCRE2_ANCHORED | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP)

static int compile(Pattern *p, const char *text, uint32_t options, size_t *reterr_at,
                   char *reterr_why, size_t why_size) {
        PCRE2_UCHAR words[120];
        PCRE2_SIZE at = 0;
        int error = 0;

        p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at,
                                NULL);
        if (p->code)
                return 0;
        /* PCRE2 cuts and terminates words that do not fit, and knows every error of its own. */
        (void)pcre2_get_error_message(error, words, ELEMENTSOF(words));
        return refuse(at, (const char *)words, reterr_at, reterr_why, why_size);
}

static int check_length(const char *text, size_t *reterr_at, char *reterr_why, size_t why_size) {
        if (strlen(text) <= PATTERN_TEXT_MAX)
                return 0;
        return refuse(PATTERN_TEXT_MAX, "longer than 1024 bytes", reterr_at, reterr_why, why_size);
}

static int set_up(Pattern *p, uint32_t match_limit) {
        p->data = pcre2_match_data_create(2, NULL);
        p->limits = pcre2_match_context_create(NULL);
        if (!p->data || !p->limits)
                return -ENOMEM;
        (void)pcre2_set_match_limit(p->limits, match_limit);
        (void)pcre2_set_depth_limit(p->limits, PATTERN_DEPTH_LIMIT);
        (void)pcre2_set_heap_limit(p->limits, PATTERN_HEAP_LIMIT);
        return 0;
}

int pattern_new(Pattern **ret, const char *text, size_t *reterr_at, char *reterr_why,
                size_t why_size) {
        _cleanup_(pattern_freep) Pattern *p = calloc(1, sizeof *p);
        int r;

        assert(ret && text);
        if (!p)
                return -ENOMEM;
        r = check_length(text, reterr_at, reterr_why, why_size);
        if (r >= 0)
                r = compile(p, text, OPTIONS_WHOLE, reterr_at, reterr_why, why_size);
        if (r >= 0)
                r = set_up(p, PATTERN_MATCH_LIMIT);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

int pattern_new_search(Pattern **ret, const char *text, size_t *reterr_at, char *reterr_why,
                       size_t why_size) {
        _cleanup_(pattern_freep) Pattern *p = calloc(1, sizeof *p);
        STRBUF(wrapped, PATTERN_TEXT_MAX + sizeof SEARCH_BEFORE + sizeof SEARCH_AFTER);
        int r;

        assert(ret && text);
        if (!p)
                return -ENOMEM;
        r = check_length(text, reterr_at, reterr_why, why_size);
        if (r < 0)
                return r;
        /* Alone first, so that what is wrong with it is told by its own offset, and what is right
         * only with the brackets around it is not taken. */
        r = compile(p, text, OPTIONS_SEARCH, reterr_at, reterr_why, why_size);
        if (r < 0)
                return r;
        pcre2_code_free(p->code);
        p->code = NULL;
        strbuf_add(&wrapped, SEARCH_BEFORE);
        strbuf_add(&wrapped, text);
        strbuf_add(&wrapped, SEARCH_AFTER);
        r = compile(p, wrapped.text, OPTIONS_SEARCH, reterr_at, reterr_why, why_size);
        if (r >= 0)
                r = set_up(p, PATTERN_SEARCH_LIMIT);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(p);
        return 0;
}

Pattern *pattern_free(Pattern *p) {
        if (!p)
                return NULL;
        pcre2_match_context_free(p->limits);
        pcre2_match_data_free(p->data);
        pcre2_code_free(p->code);
        free(p);
        return NULL;
}

int pattern_match(const Pattern *p, const char *text, size_t n) {
        int r;

        assert(p && (text || n == 0));
        r = pcre2_match(p->code, (PCRE2_SPTR)(text ? text : ""), n, 0, 0, p->data, p->limits);
        if (r >= 0)
                return 1;
        if (r == PCRE2_ERROR_NOMATCH || (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21))
                return 0;
        return -E2BIG;
}

unsigned pattern_groups(const Pattern *p) {
        uint32_t n = 0;

        (void)pcre2_pattern_info(p->code, PCRE2_INFO_CAPTURECOUNT, &n);
        return n;
}

int pattern_search(const Pattern *p, const char *text, size_t n, Slice *ret_group) {
        const PCRE2_SIZE *places = pcre2_get_ovector_pointer(p->data);
        int r;

        assert(p && (text || n == 0));
        if (!text)
                text = "";
        r = pcre2_match(p->code, (PCRE2_SPTR)text, MIN(n, PATTERN_SEARCH_MAX), 0, 0, p->data,
                        p->limits);
        if (r == PCRE2_ERROR_NOMATCH)
                return 0;
        if (r < 0)
                return -E2BIG;
        if (ret_group && (r >= 2 || r == 0) && places[2] != PCRE2_UNSET)
                *ret_group = (Slice){ .p = text + places[2], .n = places[3] - places[2] };
        else if (ret_group)
                *ret_group = (Slice){ .p = text };
        return 1;
}
