/* redis.h: the protocol of Redis as bytes, over hiredis: commands to be sent, and the replies to
 * them out of what was received, cut however it is. Lists are refused, so that a header that
 * promises a thousand million entries allocates none. Knows nothing of sockets, nor of what is
 * asked. */
#pragma once

#include "macro.h"

/* Bytes that may be fed to one reader: its memory is bounded by them, whatever a reply promises. */
#define REDIS_BYTES_MAX (64 * 1024)

typedef enum RedisReplyKind {
        REDIS_STATUS, /* "+PONG" */
        REDIS_ERROR,  /* "-LOADING ..." */
        REDIS_TEXT,
        REDIS_OTHER, /* a number, or nothing */
} RedisReplyKind;

typedef struct RedisReply {
        RedisReplyKind kind;
        size_t length;
        char text[]; /* with a NUL behind it */
} RedisReply;

typedef struct RedisReader RedisReader;

int redis_reader_new(RedisReader **ret) _must_check_;
RedisReader *redis_reader_free(RedisReader *r);
DEFINE_CLEANUP(RedisReader *, redis_reader_free);
/* Feeds what was received. Returns 0, -EFBIG beyond REDIS_BYTES_MAX, or -ENOMEM. */
int redis_reader_feed(RedisReader *r, const char *data, size_t n) _must_check_;
/* Takes the next reply: 1 with *ret to be freed with free(), 0 when more is needed, -EPROTO. */
int redis_reader_take(RedisReader *r, RedisReply **ret) _must_check_;

/* Appends a command of n words to *text of *length bytes, which grows. Returns 0 or -ENOMEM. */
int redis_add_command(char **text, size_t *length, size_t n,
                      const char *const words[]) _must_check_;
