#include "events.h"

#include <errno.h>

const EventRow event_rows[] = {
        [EVENT_RELEASE_DEPLOYED] = {
                .type = "release.deployed",
                .severity = SEVERITY_INFO,
                .text = "{service}: {version} became active (epoch {epoch})",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"epoch\": \"7\"}",
                .message_id = "cd9679041f65de002ee4036c59d1ff4c",
        },
        [EVENT_RELEASE_STABLE] = {
                .type = "release.stable",
                .severity = SEVERITY_INFO,
                .text = "{service}: {version} has earned its stable mark (epoch {epoch})",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"epoch\": \"7\"}",
                .message_id = "7a3bc03947ea74c1cacf5811e8763ca9",
        },
        [EVENT_RELEASE_NO_TARGET] = {
                .type = "release.no_target",
                .severity = SEVERITY_WARNING,
                .lasting = true,
                .text = "{service}: a rollback of {version} would have nowhere to go: {reason}",
                .over = "{service}: a rollback would have a target again, or is no longer wanted",
                .type_now = "rollbackctl mark-stable {service} VERSION --reason ...",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"reason\": \"no target: "
                           "no other version is stable\"}",
                .message_id = "ebde61828fce44731d0c96c071a7ec9c",
        },
        [EVENT_ROLLBACK_WOULD] = {
                .type = "rollback.would",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: would have been rolled back from {from} to {to} (mode "
                        "observe): rule {rule}: {reading}",
                .type_now = "rollbackctl rollback {service} --reason ...",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", \"rule\": "
                           "\"errors\", \"reading\": \"7.2% > 5% (84 of 1,168, dispersion 5)\"}",
                .message_id = "535d9d00363188a5243424991b775021",
        },
        [EVENT_ROLLBACK_CONFIRM] = {
                .type = "rollback.confirm",
                .severity = SEVERITY_CRITICAL,
                .text = "{service}: should be rolled back from {from} to {to}: rule {rule}: "
                        "{reading}; to do so: rollbackctl rollback {service} --reason ...",
                .type_now = "rollbackctl rollback {service} --reason ...",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", \"rule\": "
                           "\"errors\", \"reading\": \"7.2% > 5% (84 of 1,168, dispersion 5)\"}",
                .message_id = "48048e394d41affb3df7286c5fd85810",
        },
        [EVENT_ROLLBACK_HELD] = {
                .type = "rollback.held",
                .severity = SEVERITY_CRITICAL,
                .lasting = true,
                .text = "{service}: a rollback of {version} is held by {guard}: {held}; rule "
                        "{rule}: {reading}; by hand: rollbackctl rollback {service} --reason ...",
                .over = "{service}: the rollback is no longer held by {guard}",
                .type_now = "rollbackctl rollback {service} --reason ...",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"guard\": \"cooldown\", "
                           "\"held\": \"the last act is too recent, 9 min left\", \"rule\": "
                           "\"errors\", \"reading\": \"7.2% > 5% (84 of 1,168, dispersion 5)\"}",
                .message_id = "3a9c3078b8aea0e1f50b96bf38daa4ce",
        },
        [EVENT_ROLLBACK_COMMITTED] = {
                .type = "rollback.committed",
                .severity = SEVERITY_CRITICAL,
                .text = "{service}: rolled back from {from} to {to} by {actor}: {reason}",
                .type_now = "rollbackctl explain {operation}",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", \"actor\": "
                           "\"rollbackd\", \"reason\": \"rule errors: 7.2% > 5%\", \"operation\": "
                           "\"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\"}",
                .message_id = "96971a01a2204b5eeda28ffc25acad6c",
        },
        [EVENT_ROLLBACK_RECOVERED] = {
                .type = "rollback.recovered",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: recovered on {to} after the rollback from {from}",
                .type_now = "rollbackctl ack {operation} --true, or --false when it was a false "
                            "alarm",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", "
                           "\"operation\": \"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\"}",
                .message_id = "ed2c1dfff0d3075d34967357198b6cd2",
        },
        [EVENT_ROLLBACK_NOT_RECOVERED] = {
                .type = "rollback.not_recovered",
                .severity = SEVERITY_CRITICAL,
                .text = "{service}: not recovered on {to}: {detail}; {from} is not to blame, and "
                        "nothing more is done by itself",
                .type_now = "rollbackctl explain {operation}",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", \"detail\": "
                           "\"rule errors: 7.2% > 5%\", \"operation\": "
                           "\"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\"}",
                .message_id = "bab566a89401db95d0e4c5421066a6b8",
        },
        [EVENT_ROLLBACK_UNVERIFIED] = {
                .type = "rollback.unverified",
                .severity = SEVERITY_WARNING,
                .text = "{service}: whether {to} has recovered could not be told: {detail}",
                .type_now = "rollbackctl explain {operation}",
                .example = "{\"service\": \"web\", \"to\": \"v1\", \"detail\": \"rule errors: too "
                           "few samples to say\", \"operation\": "
                           "\"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\"}",
                .message_id = "3e0b006e82c18eefefffa659c7fd7058",
        },
        [EVENT_ROLLBACK_SUPERSEDED] = {
                .type = "rollback.superseded",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: the rollback from {from} to {to} was superseded by a person's "
                        "act",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\"}",
                .message_id = "03165d6e392a80ce4b84159e28fd0d2b",
        },
        [EVENT_ROLLBACK_FAILED] = {
                .type = "rollback.failed",
                .severity = SEVERITY_CRITICAL,
                .lasting = true,
                .text = "{service}: the rollback from {from} to {to} was given up: {detail}",
                .over = "{service}: the rollback that had failed is settled, or may be tried again",
                .type_now = "rollbackctl rollback {service} --reason ...",
                .example = "{\"service\": \"web\", \"from\": \"v2\", \"to\": \"v1\", \"detail\": "
                           "\"atomic step 1 failed three times: permission denied for table "
                           "users\"}",
                .message_id = "18f1bafc0fad203c80e9057e76d0a3a4",
        },
        [EVENT_RESTORE_COMMITTED] = {
                .type = "restore.committed",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: restored from {from} to {to} by {actor}: {reason}",
                .type_now = "rollbackctl resume {service}, to have it watched by itself again",
                .example = "{\"service\": \"web\", \"from\": \"v1\", \"to\": \"v2\", \"actor\": "
                           "\"alice\", \"reason\": \"false alarm\"}",
                .message_id = "16d2c3c636ee51c073fb8c08d85485c9",
        },
        [EVENT_RESTORE_RECOVERED] = {
                .type = "restore.recovered",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: healthy on {to} after the restore",
                .type_now = "rollbackctl resume {service}, to have it watched by itself again",
                .example = "{\"service\": \"web\", \"to\": \"v2\"}",
                .message_id = "1b569727409983e1e3ed3675d603fa92",
        },
        [EVENT_RESTORE_NOT_RECOVERED] = {
                .type = "restore.not_recovered",
                .severity = SEVERITY_CRITICAL,
                .text = "{service}: not healthy on {to} after the restore: {detail}; nothing is "
                        "done by itself",
                .type_now = "rollbackctl rollback {service} --reason ...",
                .example = "{\"service\": \"web\", \"to\": \"v2\", \"detail\": \"rule errors: "
                           "7.2% > 5%\"}",
                .message_id = "682d01654bdbf9dd160f3763c19fcb93",
        },
        [EVENT_RESTORE_UNVERIFIED] = {
                .type = "restore.unverified",
                .severity = SEVERITY_WARNING,
                .text = "{service}: whether {to} is healthy after the restore could not be told: "
                        "{detail}",
                .type_now = "rollbackctl explain {operation}",
                .example = "{\"service\": \"web\", \"to\": \"v2\", \"detail\": \"rule errors: too "
                           "few samples to say\", \"operation\": "
                           "\"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\"}",
                .message_id = "47e157682396054b43cbadf2198205c5",
        },
        [EVENT_RESTORE_SUPERSEDED] = {
                .type = "restore.superseded",
                .severity = SEVERITY_NOTICE,
                .text = "{service}: the restore to {to} was superseded by a person's act",
                .example = "{\"service\": \"web\", \"to\": \"v2\"}",
                .message_id = "f6aafb3f80eb384ffb3a8c9842156144",
        },
        [EVENT_RESTORE_FAILED] = {
                .type = "restore.failed",
                .severity = SEVERITY_CRITICAL,
                .lasting = true,
                .text = "{service}: the restore from {from} to {to} was given up: {detail}",
                .over = "{service}: the restore that had failed is settled, or may be tried again",
                .type_now = "rollbackctl restore {service} --reason ...",
                .example = "{\"service\": \"web\", \"from\": \"v1\", \"to\": \"v2\", \"detail\": "
                           "\"atomic step 1 failed three times: permission denied for table "
                           "users\"}",
                .message_id = "50baa20d7dbcba5f9f00f55ccd230aa5",
        },
        [EVENT_RULE_BAD] = {
                .type = "rule.bad",
                .severity = SEVERITY_WARNING,
                .lasting = true,
                .text = "{service}: rule {rule} is bad on {version}: {reading}",
                .over = "{service}: rule {rule} is no longer bad, or no longer judges what it was bad on",
                .type_now = "rollbackctl explain {service}",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"rule\": \"slow\", "
                           "\"reading\": \"7.2% > 5% (84 of 1,168, dispersion 5)\"}",
                .message_id = "c18d51d0337220e9704cb962160535a0",
        },
        [EVENT_SERVICE_BLIND] = {
                .type = "service.blind",
                .severity = SEVERITY_WARNING,
                .lasting = true,
                .text = "{service}: nothing is known of {version}: every rule that could ask for "
                        "a rollback has been unknown for {since}; a bad release would not be "
                        "noticed",
                .over = "{service}: its rules are known again",
                .type_now = "rollbackctl status {service}",
                .example = "{\"service\": \"web\", \"version\": \"v2\", \"since\": \"1 min\"}",
                .message_id = "b081401293bc0fb69ac065aa0c608e4d",
        },
        [EVENT_SERVICE_UNCONFIGURED] = {
                .type = "service.unconfigured",
                .severity = SEVERITY_WARNING,
                .lasting = true,
                .text = "{service}: its policy file is refused: {error}",
                .over = "{service}: its policy file is no longer refused",
                .type_now = "rollbackctl check",
                .example = "{\"service\": \"web\", \"error\": \"web.conf:12: rules: enter must be "
                           "above leave\"}",
                .message_id = "b4f5528cac6f7f6149a392b89d92a10e",
        },
        [EVENT_STEP_FAILED] = {
                .type = "step.failed",
                .severity = SEVERITY_CRITICAL,
                .text = "{service}: step {step} of operation {operation} failed for good: {error}",
                .type_now = "rollbackctl explain {operation}",
                .example = "{\"service\": \"web\", \"step\": \"2 (cache)\", \"operation\": "
                           "\"0b54ae3c-8f0e-4c3e-9a51-3a5e0d6b7c11\", \"error\": \"permission "
                           "denied for table cache\"}",
                .message_id = "36de5abe12ef10ff30ac3eebde1ed7ee",
        },
        [EVENT_LEDGER_DOWN] = {
                .type = "ledger.down",
                .severity = SEVERITY_CRITICAL,
                .lasting = true,
                .text = "the ledger cannot be reached: {error}; rollbacks are held",
                .over = "the ledger can be reached again",
                .type_now = "psql 'service=rollbackd' -c 'SELECT 1'",
                .example = "{\"error\": \"connection refused\"}",
                .message_id = "a7d96704122c78f728b1a0ac5ccc382e",
        },
        [EVENT_LEDGER_UNUSABLE] = {
                .type = "ledger.unusable",
                .severity = SEVERITY_CRITICAL,
                .lasting = true,
                .text = "the ledger cannot be used as it is configured: {error}; rollbackd only "
                        "observes",
                .over = "the ledger can be used again",
                .type_now = "rollbackctl check --db; rollbackctl db migrate",
                .example = "{\"error\": \"schema 3 asks for a daemon of schema 2 at least\"}",
                .message_id = "4b4b8729d2d57348cc2d889aaa4352dd",
        },
        [EVENT_DELIVERY_DEAD] = {
                .type = "delivery.dead",
                .severity = SEVERITY_WARNING,
                .text = "{service}: a notice of {event} to {subscriber} was given up: {error}",
                .type_now = "rollbackctl events --service {service}",
                .example = "{\"service\": \"web\", \"event\": \"rollback.committed\", "
                           "\"subscriber\": \"policy:web:1\", \"error\": \"410 Gone\"}",
                .message_id = "d347b47cb5cc86ae2380defc75c647e5",
        },
        [EVENT_ALERTS_DROPPED] = {
                .type = "alerts.dropped",
                .severity = SEVERITY_WARNING,
                .text = "{count} alerts were dropped because their queue was full",
                .type_now = "journalctl -u rollbackd -p warning",
                .example = "{\"count\": \"3\"}",
                .message_id = "203b849d2167dc1eba8c1063927405fe",
        },
};

_Static_assert(ELEMENTSOF(event_rows) == _EVENT_KIND_MAX, "every kind of event has its row");

static const char *const severities[] = {
        [SEVERITY_INFO] = "info",
        [SEVERITY_NOTICE] = "notice",
        [SEVERITY_WARNING] = "warning",
        [SEVERITY_CRITICAL] = "critical",
};

const EventRow *event_row(EventKind k) {
        return &event_rows[k];
}

int event_kind_from_type(const char *type) {
        for (size_t i = 0; i < ELEMENTSOF(event_rows); i++)
                if (streq(event_rows[i].type, type))
                        return (int)i;
        return -EINVAL;
}

static const char *find_value(const EventFieldValue *fields, size_t n, const char *name,
                              size_t length) {
        for (size_t i = 0; i < n; i++)
                if (strlen(fields[i].name) == length && memcmp(fields[i].name, name, length) == 0)
                        return fields[i].value ? fields[i].value : "?";
        return "?";
}

void event_render(const char *pattern, const EventFieldValue *fields, size_t n, StrBuf *b) {
        for (;;) {
                const char *open = strchr(pattern, '{');
                const char *close = open ? strchr(open, '}') : NULL;
                if (!close) {
                        strbuf_add(b, pattern);
                        return;
                }
                strbuf_add_n(b, pattern, (size_t)(open - pattern));
                strbuf_add(b, find_value(fields, n, open + 1, (size_t)(close - open) - 1));
                pattern = close + 1;
        }
}

const char *event_journal_field(const char *name) {
        static const char *const fields[][2] = {
                { "service", "ROLLBACKD_SERVICE" },
                { "version", "ROLLBACKD_VERSION" },
                { "operation", "ROLLBACKD_OPERATION" },
                { "rule", "ROLLBACKD_RULE" },
                { "guard", "ROLLBACKD_GUARD" },
                { "from", "ROLLBACKD_FROM" },
                { "to", "ROLLBACKD_TO" },
        };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                if (streq(fields[i][0], name))
                        return fields[i][1];
        return NULL;
}

const char *severity_to_string(Severity s) {
        return severities[s];
}
