/* redis_words.h: what a Redis server says, as outcomes and values. Knows nothing of connections. */
#pragma once

#include "probe_kind.h"
#include "redis.h"

/* What is asked, in this order; the first two only when there is something to say. */
typedef enum RedisCommand {
        REDIS_COMMAND_AUTH,
        REDIS_COMMAND_SELECT,
        REDIS_COMMAND_PING,
        REDIS_COMMAND_REPLICATION, /* INFO replication */
        REDIS_COMMAND_SERVER,      /* INFO server */
        _REDIS_COMMAND_MAX,
} RedisCommand;

/* Takes the reply to a command. Returns whether the conversation goes on; if not, *result says why.
 */
bool redis_words_take(RedisCommand command, const RedisReply *reply, ServerRole wanted,
                      ProbeResult *result);
