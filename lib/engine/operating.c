#include "operating.h"

#include "blaming.h"
#include "deadlines.h"
#include "deciding.h"
#include "explaining.h"
#include "judging.h"

/* What a closing names of the targets that answer another version. */
#define STRAGGLERS_NAMED 2

static const OperationRow *move(Service *s, OperationEvent event, usec_t now) {
        const OperationRow *row = operation_row(s->operation_state, event);
        if (!row)
                return NULL;
        s->operation_state = row->next;
        s->operation_row = row->number;
        s->operation_since = now;
        return row;
}

static EffectItem item_of(const Service *s, EffectKind kind) {
        return (EffectItem){
                .kind = (uint8_t)kind,
                .row = s->operation_row,
                .state = (uint8_t)s->operation_state,
                .operation_kind = (uint8_t)s->plan.kind,
                .automatic = s->plan.automatic,
                .epoch = s->facts.epoch,
        };
}

static void push_move(Engine *e, Service *s, const char *text, bool evidence) {
        EffectItem item = item_of(s, EFFECT_MOVE_OPERATION);
        item.evidence = evidence;
        effect_push(e, s, item, s->plan.id, NULL, text);
}

static void push_alert(Engine *e, Service *s, EventKind event, const char *detail, bool evidence) {
        EffectItem item = item_of(s, EFFECT_ALERT);
        item.event = (uint8_t)event;
        item.raise = true;
        item.evidence = evidence;
        effect_alert(e, s, item, NULL,
                     &(AlertWords){
                             .detail = detail, .actor = s->plan.actor, .reason = s->plan.reason });
}

/* What never became an operation of the ledger is an event of it, under the same id. */
static void push_record(Engine *e, Service *s, EventKind event, const char *detail) {
        EffectItem item = item_of(s, EFFECT_RECORD);
        item.event = (uint8_t)event;
        item.raise = item.evidence = true;
        effect_push(e, s, item, s->plan.id, NULL, detail);
}

/* The event of this operation kind: both kinds have theirs in the same order. */
static EventKind event_of(const Service *s, EventKind of_rollback) {
        if (s->plan.kind == OPERATION_ROLLBACK)
                return of_rollback;
        return of_rollback - EVENT_ROLLBACK_COMMITTED + EVENT_RESTORE_COMMITTED;
}

/* Only a closing that the ledger must write is remembered: what was never committed, or closed by a
 * person, is believed as the ledger shows it. */
static void forget(Service *s, usec_t now) {
        OperationState state = s->operation_state;
        if (state == OPERATION_RECOVERED || state == OPERATION_NOT_RECOVERED ||
            state == OPERATION_UNVERIFIED)
                memcpy(s->closed_id, s->plan.id, sizeof s->closed_id);
        s->closed_state = s->operation_state;
        s->closed_kind = s->plan.kind;
        s->closed_at = now;
        s->operation_state = OPERATION_NONE;
        s->operation_epoch = 0;
        s->failed_steps = 0;
}

static uint64_t next_random(uint64_t *seed) {
        uint64_t z = *seed += 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
}

void operation_make_id(Engine *e, char ret_id[static OPERATION_ID_SIZE]) {
        static const char digits[] = "0123456789abcdef";
        uint64_t words[2] = { next_random(&e->seed), next_random(&e->seed) };
        size_t at = 0;

        words[0] = (words[0] & ~0xf000ULL) | 0x4000ULL;
        words[1] = (words[1] & ~(3ULL << 62)) | 2ULL << 62;
        for (unsigned i = 0; i < 32; i++) {
                if (i == 8 || i == 12 || i == 16 || i == 20)
                        ret_id[at++] = '-';
                ret_id[at++] = digits[words[i / 16] >> (60 - i % 16 * 4) & 15];
        }
        ret_id[at] = '\0';
}

void operation_propose(Engine *e, Service *s, usec_t now) {
        if (!move(s, OPERATION_EVENT_DECIDED, now))
                return;
        s->operation_epoch = 0;
        s->failed_steps = 0;
        EffectItem item = item_of(s, EFFECT_COMMIT);
        item.evidence = true;
        effect_push(e, s, item, NULL, NULL, NULL);
}

void operation_sent(Service *s) {
        move(s, OPERATION_EVENT_SENT, s->operation_since);
}

static void abandon(Service *s, OperationEvent event, usec_t now) {
        if (!move(s, event, now))
                return;
        effect_cancel(s, EFFECT_COMMIT);
        s->operation_state = OPERATION_NONE;
}

void operation_clear(Service *s, usec_t now) {
        if (s->plan.automatic)
                abandon(s, OPERATION_EVENT_CLEARED, now);
}

void operation_lose(Service *s, usec_t now) {
        if (s->operation_state == OPERATION_PROPOSED)
                abandon(s, OPERATION_EVENT_LOST, now);
}

/* Until the ledger is read again, the commit itself says what is active. */
static void assume_release(Service *s, uint64_t epoch, usec_t now) {
        ServiceFacts *f = &s->facts;

        name_copy(f->version, s->plan.to_version);
        f->epoch = epoch;
        f->kind = s->plan.kind == OPERATION_ROLLBACK ? RELEASE_ROLLBACK : RELEASE_RESTORE;
        f->released = now;
        f->automatic = s->plan.kind == OPERATION_ROLLBACK && f->automatic;
        f->stable = f->deploying = false;
        f->n_candidates = 0;
        s->epoch_at = now;
        s->assumed = true;
        judging_begin_release(s, now);
}

static void committed(Engine *e, Service *s, uint64_t epoch, usec_t now) {
        if (!move(s, OPERATION_EVENT_COMMITTED, now))
                return;
        s->operation_epoch = epoch;
        s->refused = s->failed = s->given_up = false;
        if (epoch > s->facts.epoch)
                assume_release(s, epoch, now);
        effect_push(e, s, item_of(s, EFFECT_RUN_STEPS), s->plan.id, NULL, NULL);
        push_alert(e, s, event_of(s, EVENT_ROLLBACK_COMMITTED), NULL, false);
}

static Service *in_flight(const Engine *e, uint32_t handle, const char *id) {
        Service *s = engine_service(e, handle);
        if (!s || s->operation_state == OPERATION_NONE || !streq(s->plan.id, id))
                return NULL;
        return s;
}

/* A person is answered by whoever carried the request; what the daemon wanted is told as held. */
static void note_refusal(Service *s, CommitResult result, const char *detail) {
        s->refused = result == COMMIT_REFUSED && s->plan.automatic;
        if (!s->refused)
                return;
        StrBuf b;
        strbuf_init(&b, s->refusal, sizeof s->refusal);
        strbuf_add(&b, "it refused the commit: ");
        strbuf_add(&b, detail && *detail ? detail : "no detail");
        text_mark_cut(&b);
}

/* Told until a person has acted or a commit has worked; a person's attempt that fails does not stop
 * the daemon's own. */
static void fail_commit(Engine *e, Service *s, const char *detail, usec_t now) {
        if (!move(s, OPERATION_EVENT_FAILED, now))
                return;
        EventKind event = event_of(s, EVENT_ROLLBACK_FAILED);
        if (s->failed_told && s->failed_event != event)
                effect_alert(
                        e, s,
                        (EffectItem){ .event = (uint8_t)s->failed_event, .epoch = s->facts.epoch },
                        NULL, &(AlertWords){ .version = s->facts.version });
        s->failed_event = event;
        push_alert(e, s, event, detail && *detail ? detail : "no detail", true);
        push_record(e, s, event, detail && *detail ? detail : "no detail");
        s->failed = s->failed_told = true;
        s->given_up = s->given_up || s->plan.automatic;
        s->refused = false;
        forget(s, now);
}

void engine_commit_done(Engine *e, uint32_t service, const char *id, CommitResult result,
                        uint64_t epoch, const char *detail, usec_t now) {
        Service *s = in_flight(e, service, id);
        if (!s)
                return;

        switch (result) {
        case COMMIT_DONE:
                committed(e, s, epoch, now);
                break;
        case COMMIT_IN_DOUBT:
                move(s, OPERATION_EVENT_IN_DOUBT, now);
                break;
        case COMMIT_LOST:
        case COMMIT_REFUSED:
                if (move(s, result == COMMIT_LOST ? OPERATION_EVENT_LOST : OPERATION_EVENT_REFUSED,
                         now)) {
                        s->blocked = true;
                        note_refusal(s, result, detail);
                        forget(s, now);
                }
                break;
        case COMMIT_FAILED:
                fail_commit(e, s, detail, now);
                break;
        }
        service_mark_fed(e, s);
}

void engine_steps_started(Engine *e, uint32_t service, const char *id, usec_t now) {
        Service *s = in_flight(e, service, id);
        if (!s)
                return;
        const OperationRow *row = move(s, OPERATION_EVENT_EFFECTING, now);
        if (row)
                push_move(e, s, row->why, false);
}

/* What was sampled before the last step ended tells nothing of the version with its effects: the
 * rules start anew, unless settle, which is waited for anyway, lasts longer. */
static void begin_verify(Service *s, usec_t now) {
        s->verify_from = s->verify_seen = MAX(s->warm_until, now);
        s->verified_for = 0;
        if (s->warm)
                service_clear_rules(s, MAX(now, s->count_from));
}

void engine_steps_done(Engine *e, uint32_t service, const char *id, uint32_t failed, usec_t now) {
        Service *s = in_flight(e, service, id);
        if (!s)
                return;
        const OperationRow *row = move(s, OPERATION_EVENT_STEPS_DONE, now);
        if (!row)
                return;
        s->failed_steps = failed;
        begin_verify(s, now);
        push_move(e, s, row->why, false);
        service_mark_fed(e, s);
}

/* The rule that decides about the verification: a bad one, else one that is not known, else the
 * first. */
static int telling_rule(const Service *s) {
        uint32_t bad = s->bad & s->acting, unknown = s->acting & ~(s->bad | s->good);
        uint32_t mask = bad ? bad : unknown ? unknown : s->acting;
        return mask ? __builtin_ctz(mask) : -1;
}

static void describe_straggler(const Service *s, size_t probe, size_t target, StrBuf *b) {
        strbuf_add(b, s->policy->probes[probe].name);
        strbuf_add_char(b, ' ');
        strbuf_add_u64(b, target + 1);
        strbuf_add(b, " answers ");
        strbuf_add(b, s->probes[probe].targets[target].version);
}

/* The targets that still answer another version: "; stragglers: live 1 answers v2, and 3 more". */
static void describe_stragglers(const Service *s, StrBuf *b) {
        size_t n = 0;

        for (size_t i = 0; i < s->policy->n_probes; i++)
                for (size_t k = 0; k < s->probes[i].end; k++) {
                        if (!s->probes[i].targets[k].straggler || n++ >= STRAGGLERS_NAMED)
                                continue;
                        strbuf_add(b, n == 1 ? "; stragglers: " : ", ");
                        describe_straggler(s, i, k, b);
                }
        if (n <= STRAGGLERS_NAMED)
                return;
        strbuf_add(b, ", and ");
        strbuf_add_u64(b, n - STRAGGLERS_NAMED);
        strbuf_add(b, " more");
}

Tri operation_blame(const Service *s, const char **ret_name) {
        if (s->operation_state != OPERATION_VERIFYING || !s->warm || !(s->bad & s->acting))
                return TRI_GOOD;
        return blame_since(s, blame_left_good(s, telling_rule(s)), ret_name);
}

static void describe_closing(const Service *s, int rule, StrBuf *b) {
        const char *name;

        rule_describe(s, rule, b);
        if (s->failed_steps > 0) {
                strbuf_add(b, "; ");
                strbuf_add_u64(b, s->failed_steps);
                strbuf_add(b, s->failed_steps == 1 ? " step failed" : " steps failed");
        }
        if (operation_blame(s, &name) != TRI_GOOD) {
                strbuf_add(b, "; the dependency ");
                strbuf_add(b, name);
                strbuf_add(b, " is not good");
        }
        describe_stragglers(s, b);
        text_mark_cut(b);
}

static void close_verified(Engine *e, Service *s, OperationEvent event, EventKind told,
                           usec_t now) {
        int rule = telling_rule(s);
        STRBUF(detail, 320);
        STRBUF(text, ENGINE_TEXT_SIZE);
        /* Before it is closed: who is to blame is asked only of one that is being verified. */
        describe_closing(s, rule, &detail);
        const OperationRow *row = move(s, event, now);
        if (!row)
                return;
        strbuf_add(&text, row->why);
        strbuf_add(&text, ": ");
        strbuf_add(&text, detail.text);
        text_mark_cut(&text);
        Decision d;
        decision_make(e, s, rule, now, &d);
        evidence_fill(s, &d, now, row->why, &s->evidence);
        push_move(e, s, text.text, true);
        push_alert(e, s, event_of(s, told), detail.text, true);
        forget(s, now);
}

static usec_t unverified_after(usec_t verify) {
        return verify > USEC_INFINITY / ENGINE_UNVERIFIED_FACTOR ?
                       USEC_INFINITY :
                       verify * ENGINE_UNVERIFIED_FACTOR;
}

void operation_verify_anew(Service *s, usec_t now) {
        if (s->operation_state != OPERATION_VERIFYING)
                return;
        s->verified_for = usec_add(s->verified_for, usec_sub(s->verify_seen, s->verify_from));
        s->verify_from = s->verify_seen = MAX(now, s->warm_until);
}

usec_t operating_step(Engine *e, Service *s, usec_t now) {
        const char *name;
        Tri blame = operation_blame(s, &name);

        if (s->operation_state != OPERATION_VERIFYING || !s->warm)
                return USEC_INFINITY;

        usec_t end = usec_add(s->verify_from, s->policy->rollback.verify);
        usec_t last = usec_add(
                s->verify_from,
                usec_sub(unverified_after(s->policy->rollback.verify), s->verified_for));
        s->verify_seen = MAX(now, s->verify_from);
        if ((s->bad & s->acting) && blame == TRI_GOOD)
                close_verified(e, s, OPERATION_EVENT_BAD, EVENT_ROLLBACK_NOT_RECOVERED, now);
        else if (now >= end && s->acting && (s->good & s->acting) == s->acting)
                close_verified(e, s, OPERATION_EVENT_PROVEN, EVENT_ROLLBACK_RECOVERED, now);
        else if (now >= last)
                close_verified(e, s, OPERATION_EVENT_UNPROVEN, EVENT_ROLLBACK_UNVERIFIED, now);
        else if (blame == TRI_UNKNOWN) {
                blame_ask(e, s, blame_left_good(s, telling_rule(s)), now);
                return MIN(last, usec_add(now, DEPENDENCY_ASK_EVERY));
        } else
                return now < end ? end : last;
        return USEC_INFINITY;
}

static void supersede(Engine *e, Service *s, usec_t now) {
        if (!move(s, OPERATION_EVENT_SUPERSEDED, now))
                return;
        push_alert(e, s, event_of(s, EVENT_ROLLBACK_SUPERSEDED), NULL, false);
        forget(s, now);
}

static void adopt(Engine *e, Service *s, usec_t now) {
        const OpenOperation *o = &s->facts.operation;
        bool verifying = o->state == OPERATION_VERIFYING;

        if (!verifying && o->state != OPERATION_COMMITTED && o->state != OPERATION_EFFECTING)
                return;
        s->plan = (OperationPlan){ .kind = o->kind,
                                   .automatic = o->automatic,
                                   .from_epoch = o->from_epoch };
        memcpy(s->plan.id, o->id, sizeof s->plan.id);
        name_copy(s->plan.from_version, o->from_version);
        name_copy(s->plan.to_version, o->to_version);
        name_copy(s->plan.actor, o->automatic ? "rollbackd" : "a person");
        name_copy(s->plan.reason, "taken over from the ledger");
        s->operation_state = o->state;
        s->operation_row = 0;
        s->operation_since = now;
        s->operation_epoch = o->to_epoch;
        s->failed_steps = 0;
        if (verifying)
                begin_verify(s, now);
        else {
                EffectItem item = item_of(s, EFFECT_RUN_STEPS);
                item.adopt = !o->has_steps;
                effect_push(e, s, item, s->plan.id, NULL, NULL);
        }
}

/* The closing was asked for, and the ledger still shows the operation open: asked for again, not
 * adopted. */
static void repeat_closing(Engine *e, Service *s, usec_t now) {
        if (now < usec_add(s->closed_at, ENGINE_REPEAT_AFTER) || !effect_room(s))
                return;
        s->closed_at = now;
        EffectItem item = {
                .kind = EFFECT_MOVE_OPERATION,
                .state = (uint8_t)s->closed_state,
                .operation_kind = (uint8_t)s->closed_kind,
                .epoch = s->facts.epoch,
        };
        effect_push(e, s, item, s->closed_id, NULL, operation_state_to_string(s->closed_state));
}

void operation_reconcile(Engine *e, Service *s, usec_t now) {
        const OpenOperation *o = &s->facts.operation;
        bool same = streq(o->id, s->plan.id) && *o->id;

        switch (s->operation_state) {
        case OPERATION_PROPOSED:
                return;
        case OPERATION_COMMITTING:
        case OPERATION_IN_DOUBT:
                if (same)
                        committed(e, s, o->to_epoch, now);
                return;
        case OPERATION_COMMITTED:
        case OPERATION_EFFECTING:
        case OPERATION_VERIFYING:
                if (same)
                        return;
                supersede(e, s, now);
                break;
        case OPERATION_NONE:
        case OPERATION_RECOVERED:
        case OPERATION_NOT_RECOVERED:
        case OPERATION_UNVERIFIED:
        case OPERATION_SUPERSEDED:
        case OPERATION_FAILED:
        case OPERATION_ABORTED:
        case _OPERATION_STATE_MAX:
                break;
        }
        if (!*o->id)
                return;
        if (streq(o->id, s->closed_id))
                repeat_closing(e, s, now);
        else
                adopt(e, s, now);
}
