#include "redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>

#include "digest.h"

#define WORDS_MAX 4

struct RedisReader {
        redisReader *reader;
        size_t fed;
};

static void *make_reply(RedisReplyKind kind, const char *text, size_t n) {
        RedisReply *reply = malloc(sizeof *reply + n + 1);

        if (!reply)
                return NULL;
        reply->kind = kind;
        reply->length = n;
        memcpy(reply->text, text, n);
        reply->text[n] = '\0';
        return reply;
}

static void *make_text(const redisReadTask *task, char *text, size_t n) {
        return make_reply(task->type == REDIS_REPLY_STATUS ? REDIS_STATUS :
                          task->type == REDIS_REPLY_ERROR  ? REDIS_ERROR :
                                                             REDIS_TEXT,
                          text, n);
}

/* No memory, as hiredis understands it: the reply is refused before anything is allocated. */
static void *refuse_array(const redisReadTask *task _unused_, int n _unused_) {
        return NULL;
}

static void *make_number(const redisReadTask *task _unused_, long long value _unused_) {
        return make_reply(REDIS_OTHER, "", 0);
}

static void *make_nothing(const redisReadTask *task _unused_) {
        return make_reply(REDIS_OTHER, "", 0);
}

static redisReplyObjectFunctions functions = {
        .createString = make_text,
        .createArray = refuse_array,
        .createInteger = make_number,
        .createNil = make_nothing,
        .freeObject = free,
};

int redis_reader_new(RedisReader **ret) {
        _cleanup_(redis_reader_freep) RedisReader *r = calloc(1, sizeof *r);

        if (!r)
                return -ENOMEM;
        r->reader = redisReaderCreateWithFunctions(&functions);
        if (!r->reader)
                return -ENOMEM;
        *ret = TAKE_PTR(r);
        return 0;
}

RedisReader *redis_reader_free(RedisReader *r) {
        if (!r)
                return NULL;
        if (r->reader)
                redisReaderFree(r->reader);
        free(r);
        return NULL;
}

int redis_reader_feed(RedisReader *r, const char *data, size_t n) {
        if (n > REDIS_BYTES_MAX - r->fed)
                return -EFBIG;
        r->fed += n;
        return redisReaderFeed(r->reader, data, n) == REDIS_OK ? 0 : -ENOMEM;
}

int redis_reader_take(RedisReader *r, RedisReply **ret) {
        void *reply = NULL;

        if (redisReaderGetReply(r->reader, &reply) != REDIS_OK)
                return -EPROTO;
        if (!reply)
                return 0;
        *ret = reply;
        return 1;
}

int redis_add_command(char **text, size_t *length, size_t n, const char *const words[]) {
        const char *arguments[WORDS_MAX];
        char *command, *larger;
        int size;

        assert(n > 0 && n <= WORDS_MAX);
        for (size_t i = 0; i < n; i++)
                arguments[i] = words[i];
        size = redisFormatCommandArgv(&command, (int)n, arguments, NULL);
        if (size < 0)
                return -ENOMEM;
        larger = malloc(*length + (size_t)size);
        if (larger) {
                if (*text)
                        memcpy(larger, *text, *length);
                memcpy(larger + *length, command, (size_t)size);
                /* There may be a password in both. */
                if (*text)
                        digest_wipe(*text, *length);
                free(*text);
                *text = larger;
                *length += (size_t)size;
        }
        digest_wipe(command, (size_t)size);
        free(command);
        return larger ? 0 : -ENOMEM;
}
