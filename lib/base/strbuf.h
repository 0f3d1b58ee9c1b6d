/* strbuf.h: a bounded text builder over the caller's storage, without stdio and without locale.
 * Once something did not fit, `overflow` stays set and nothing more is added: the text is a
 * beginning of the whole one, cut between characters, always NUL-terminated. Knows nothing of
 * what is written. */
#pragma once

#include "macro.h"

typedef struct StrBuf {
        char *text;    /* borrowed storage, NUL-terminated */
        size_t size;   /* of the storage, at least 1 */
        size_t length; /* without the NUL */
        bool overflow; /* sticky */
} StrBuf;

/* Declares a StrBuf `name` over `bytes` of automatic storage. */
#define STRBUF(name, bytes)                                                                        \
        _uninitialized_ char name##_storage[bytes];                                                \
        StrBuf name;                                                                               \
        strbuf_init(&name, name##_storage, sizeof name##_storage)

/* Starts an empty text over storage of `size` bytes (>= 1), which must outlive the builder. */
void strbuf_init(StrBuf *b, char *storage, size_t size);
/* Append a text, its first n bytes, one byte. */
void strbuf_add(StrBuf *b, const char *text);
void strbuf_add_n(StrBuf *b, const char *text, size_t n);
void strbuf_add_char(StrBuf *b, char c);
/* Append all digits of a number, or none where they do not fit. */
void strbuf_add_u64(StrBuf *b, uint64_t value);
void strbuf_add_i64(StrBuf *b, int64_t value);
/* Fixed-point with `decimals` (0..9) places, rounded half to even as printf() does, trailing
 * zeros kept, no negative zero; "NaN", "+Inf", "-Inf" as such; from 1e18 on capped, with a '>'
 * before ('<' below -1e18). */
void strbuf_add_double(StrBuf *b, double value, unsigned decimals);
/* A share 0..1 as "7.2%": one decimal below 10 %, none above, "0.05%" below 0.1 %, "<0.01%" for
 * what would read as nothing, "0%". */
void strbuf_add_percent(StrBuf *b, double ratio);
/* Printable ASCII and valid UTF-8 as they are; control bytes, invalid bytes, line separators and
 * bidirectional controls as \xNN. For text that came from outside. */
void strbuf_add_escaped(StrBuf *b, const char *text, size_t n);
