/* The table of verbs. */
#include "ctl.h"

#define CONNECT "config conninfo timeout json"
#define ADMINISTER "config conninfo timeout directory"
#define SOCKET "config socket timeout json"

const Verb verbs[] = {
        { "status", "[SERVICE]", SOCKET, "what each service is doing, and what would happen next",
          run_status, NULL, NULL },
        { "explain", "SERVICE|ID", SOCKET, "why: a service now, an operation or an event by its id",
          run_explain, NULL, NULL },
        { "history", "", SOCKET " service limit", "the latest operations", run_history, NULL,
          NULL },
        { "events", "", SOCKET " service limit", "the latest events", run_events, NULL, NULL },
        { "rollback", "SERVICE", SOCKET " reason to epoch yes", "take the active release back now",
          run_rollback, NULL, NULL },
        { "restore", "SERVICE", SOCKET " reason to epoch yes",
          "go forward again after a rollback; automation stays off for that release", run_restore,
          NULL, NULL },
        { "register", "SERVICE VERSION", CONNECT " stable reason",
          "make a service or a version known", run_sql,
          "SELECT rollbackd.register(service => $1, version => $2, stable => coalesce($3::boolean, "
          "false), reason => $4) AS epoch",
          "0 1 stable reason" },
        { "deploy", "SERVICE VERSION",
          CONNECT " expect-epoch code-ref api-version schema-min schema-max barrier artefact "
                  "actor source note rolling rolling-for force",
          "make a version the active one; prints the new epoch", run_sql,
          "SELECT rollbackd.deploy(service => $1, version => $2, expect_epoch => $3::bigint, "
          "code_ref => $4, api_version => $5, "
          "schema_min => $6::bigint, schema_max => $7::bigint, barrier => coalesce($8::boolean, "
          "false), artefact => $9, source => $10, note => $11, "
          "rolling => coalesce($12::boolean, $15::interval IS NOT NULL), "
          "force => coalesce($13::boolean, false), actor => $14, "
          "rolling_for => coalesce($15::interval, '1 hour')) AS epoch",
          "0 1 expect-epoch code-ref api-version schema-min schema-max barrier artefact source "
          "note rolling force actor rolling-for" },
        { "deploy-done", "SERVICE EPOCH", CONNECT, "a rolling deploy has reached every instance",
          run_sql, "SELECT rollbackd.deploy_done(service => $1, epoch => $2::bigint)", "0 1" },
        { "active", "SERVICE", CONNECT, "the version that the pointer names", run_sql,
          "SELECT rollbackd.active($1) AS version", "0" },
        { "follow", "SERVICE [--] [COMMAND...]", "config conninfo timeout file",
          "write the active version to a file or run a command for it, now and at each change",
          run_follow, NULL, NULL },
        { "mark-stable", "SERVICE VERSION", CONNECT " reason", "a person vouches for a version",
          run_sql, "SELECT rollbackd.mark_stable(service => $1, version => $2, reason => $3)",
          "0 1 reason" },
        { "ban", "SERVICE VERSION", CONNECT " reason until", "no rollback may go to this version",
          run_sql,
          "SELECT rollbackd.ban(service => $1, version => $2, reason => $3, until => "
          "$4::timestamptz)",
          "0 1 reason until" },
        { "unban", "SERVICE VERSION", CONNECT " reason", "lift a ban or a quarantine", run_sql,
          "SELECT rollbackd.unban(service => $1, version => $2, reason => $3)", "0 1 reason" },
        { "pin", "SERVICE", CONNECT " for until reason",
          "nothing moves the pointer, deploy refuses too", run_sql,
          "SELECT rollbackd.pin(service => $1, duration => $2::interval, reason => $3, until => "
          "$4::timestamptz) AS until",
          "0 for reason until" },
        { "unpin", "SERVICE", CONNECT, "end a pin", run_sql, "SELECT rollbackd.unpin($1)", "0" },
        { "pause", "SERVICE", CONNECT " for until reason", "no automatic act until then", run_sql,
          "SELECT rollbackd.pause(service => $1, duration => $2::interval, reason => $3, until => "
          "$4::timestamptz) AS until",
          "0 for reason until" },
        { "resume", "SERVICE", CONNECT,
          "end a pause; automation is on again for the active release, and what failed may be "
          "tried again",
          run_sql, "SELECT rollbackd.resume($1)", "0" },
        { "ack", "ID", CONNECT " true false note",
          "label a decision: it was right (--true), or a false alarm (--false)", run_sql,
          "SELECT rollbackd.ack(id => $1, label => coalesce($2::boolean, NOT $3::boolean), note => "
          "$4)",
          "0 true false note" },
        { "db init", "", "conninfo timeout directory database operator dry-run",
          "database, roles and schema of a ledger; run as the database's administrator", run_init,
          NULL, NULL },
        { "db migrate", "", ADMINISTER, "bring the ledger's schema up to this program's",
          run_migrate, NULL, NULL },
        { "db prune", "", CONNECT " older-than dry-run",
          "delete what is older than the retention; --dry-run counts it", run_prune, NULL, NULL },
        { "drill", "[SERVICE...]", "config conninfo json",
          "prove, without any effect, that a rollback would work now", run_drill, NULL, NULL },
        { "probe", "SERVICE [PROBE]", "config policy json",
          "make the probes of a policy once, from here and now, and show all of it", run_probe,
          NULL, NULL },
        { "check", "[POLICY...]", "config conninfo db",
          "validate rollbackd.conf and policies; --db prepares every statement under its role",
          run_check, NULL, NULL },
};
const size_t verbs_n = ELEMENTSOF(verbs);

const Verb *verb_find(int argc, char *argv[], int *ret_words) {
        for (size_t i = 0; i < verbs_n; i++) {
                const char *blank = strchr(verbs[i].name, ' ');
                size_t n = blank ? (size_t)(blank - verbs[i].name) : strlen(verbs[i].name);

                if (argc < 1 || strlen(argv[0]) != n || strncmp(argv[0], verbs[i].name, n) != 0)
                        continue;
                if (blank && (argc < 2 || !streq(argv[1], blank + 1)))
                        continue;
                *ret_words = blank ? 2 : 1;
                return &verbs[i];
        }
        return NULL;
}
