#include "redis_words.h"

#include "number.h"

/* Errors begin with a word in capitals, the old ones with ERR. First match wins. */
static const struct {
        const char *prefix;
        ProbeOutcome outcome;
} errors[] = {
        { "NOAUTH", OUTCOME_DENIED },
        { "WRONGPASS", OUTCOME_DENIED },
        { "NOPERM", OUTCOME_DENIED },
        { "DENIED", OUTCOME_DENIED }, /* protected mode */
        { "ERR operation not permitted", OUTCOME_DENIED },
        { "ERR unknown command", OUTCOME_LOCAL }, /* renamed: the probe cannot ask */
        { "", OUTCOME_ERROR },
};

static bool begins(const char *text, const char *beginning) {
        return strncmp(text, beginning, strlen(beginning)) == 0;
}

/* What a server says to anybody before it has read a word is no answer to a command. */
static bool is_greeting(const char *text) {
        return begins(text, "ERR max number of clients");
}

static ProbeOutcome outcome_of(RedisCommand command, const char *text) {
        size_t i = 0;

        if (begins(text, "ERR ") && !is_greeting(text)) {
                if (command == REDIS_COMMAND_AUTH)
                        return OUTCOME_DENIED;
                if (command == REDIS_COMMAND_SELECT)
                        return OUTCOME_LOCAL;
        }
        while (!begins(text, errors[i].prefix))
                i++;
        return errors[i].outcome;
}

static bool say(ProbeResult *result, ProbeOutcome outcome, const char *first, const char *text,
                size_t n) {
        STRBUF(words, PROBE_WORDS_SIZE);

        strbuf_add(&words, first);
        strbuf_add_escaped(&words, text, n);
        probe_result_set(result, outcome, words.text);
        return false;
}

/* The value of a line "name:value" of INFO. */
static bool find_field(const RedisReply *reply, const char *name, const char **ret, size_t *ret_n) {
        size_t length = strlen(name);

        for (const char *line = reply->text; *line;) {
                size_t n = strcspn(line, "\r\n");

                if (n > length && line[length] == ':' && strncmp(line, name, length) == 0) {
                        *ret = line + length + 1;
                        *ret_n = n - length - 1;
                        return true;
                }
                line += n + strspn(line + n, "\r\n");
        }
        return false;
}

/* Below 0 the server means that it does not know. */
static bool add_number(const RedisReply *reply, const char *name, const char *value,
                       ProbeResult *result) {
        const char *text;
        uint64_t number;
        size_t n;

        return find_field(reply, name, &text, &n) && number_parse_u64(text, n, &number) == 0 &&
               probe_result_add_value(result, value, (double)number) == 0;
}

static bool is_field(const RedisReply *reply, const char *name, const char *wanted) {
        const char *text;
        size_t n;

        return find_field(reply, name, &text, &n) && n == strlen(wanted) &&
               memcmp(text, wanted, n) == 0;
}

/* The roles are called by Redis's own words only here. */
static bool judge_role(const RedisReply *reply, ServerRole wanted, ProbeResult *result) {
        bool replica = is_field(reply, "role", "slave"),
             primary = is_field(reply, "role", "master");

        if (wanted == ROLE_ANY)
                return true;
        if (!replica && !primary)
                return say(result, OUTCOME_NO_DATA, "the server does not say what its role is", "",
                           0);
        if (wanted == ROLE_PRIMARY ? primary : replica)
                return true;
        return say(result, OUTCOME_BAD_STATE,
                   replica ? "the server is a replica, not a primary" :
                             "the server is a primary, not a replica",
                   "", 0);
}

static bool take_replication(const RedisReply *reply, ServerRole wanted, ProbeResult *result) {
        (void)add_number(reply, "connected_slaves", "replicas", result);
        if (is_field(reply, "role", "slave")) {
                (void)probe_result_add_value(result, "link_up",
                                             is_field(reply, "master_link_status", "up"));
                if (!add_number(reply, "master_last_io_seconds_ago", "lag_seconds", result))
                        (void)add_number(reply, "master_link_down_since_seconds", "lag_seconds",
                                         result);
        }
        return judge_role(reply, wanted, result);
}

bool redis_words_take(RedisCommand command, const RedisReply *reply, ServerRole wanted,
                      ProbeResult *result) {
        static const struct {
                RedisReplyKind kind;
                const char *text; /* NULL: any */
        } answers[_REDIS_COMMAND_MAX] = {
                [REDIS_COMMAND_AUTH] = { REDIS_STATUS, "OK" },
                [REDIS_COMMAND_SELECT] = { REDIS_STATUS, "OK" },
                [REDIS_COMMAND_PING] = { REDIS_STATUS, "PONG" },
                [REDIS_COMMAND_REPLICATION] = { REDIS_TEXT, NULL },
                [REDIS_COMMAND_SERVER] = { REDIS_TEXT, NULL },
        };
        const char *text = answers[command].text;

        if (reply->kind == REDIS_ERROR)
                return say(result, outcome_of(command, reply->text), "", reply->text,
                           reply->length);
        if (reply->kind != answers[command].kind || (text && !streq(reply->text, text)))
                return say(result, OUTCOME_PROTOCOL, "not what Redis answers: ", reply->text,
                           MIN(reply->length, (size_t)32));
        if (command == REDIS_COMMAND_REPLICATION)
                return take_replication(reply, wanted, result);
        if (command == REDIS_COMMAND_SERVER)
                (void)add_number(reply, "uptime_in_seconds", "uptime_seconds", result);
        return true;
}
