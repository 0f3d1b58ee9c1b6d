#include "sql_refusal.h"

#include <strings.h>

#define CONTROL "controls the transaction, which is rollbackd's own; remove it"
#define SESSION                                                                                    \
        "changes the connection, which all steps share; remove it, or put what needs it in a "     \
        "function and call that"
#define OUTSIDE                                                                                    \
        "cannot run in a transaction, and a step always does; leave it to the site's own jobs"
#define STREAM "speaks to a client that sends or takes the rows; write INSERT ... SELECT"

typedef struct Refusal {
        const char *word, *words;
} Refusal;

static const Refusal refusals[] = {
        { "ABORT", CONTROL },   { "BEGIN", CONTROL },     { "COMMIT", CONTROL },
        { "END", CONTROL },     { "RELEASE", CONTROL },   { "ROLLBACK", CONTROL },
        { "START", CONTROL },   { "SAVEPOINT", CONTROL }, { "DEALLOCATE", SESSION },
        { "DECLARE", SESSION }, { "DISCARD", SESSION },   { "EXECUTE", SESSION },
        { "LISTEN", SESSION },  { "LOAD", SESSION },      { "PREPARE", SESSION },
        { "RESET", SESSION },   { "SET", SESSION },       { "UNLISTEN", SESSION },
        { "VACUUM", OUTSIDE },  { "COPY", STREAM },
};

const char *sql_refusal(const char *word, size_t n) {
        for (size_t i = 0; i < ELEMENTSOF(refusals); i++)
                if (strlen(refusals[i].word) == n && strncasecmp(refusals[i].word, word, n) == 0)
                        return refusals[i].words;
        return NULL;
}
