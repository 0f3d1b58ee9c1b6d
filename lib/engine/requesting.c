#include <errno.h>

#include "deadlines.h"
#include "deciding.h"
#include "explaining.h"
#include "operating.h"

static int refuse(int error, const char *words, StrBuf *why) {
        strbuf_add(why, words);
        return error;
}

/* A restore goes forward again: to the version that the active rollback left, or to one that a
 * person names. */
static int choose_restore(const Service *s, const char *target, const char **ret_version,
                          StrBuf *why) {
        if (!target && s->facts.kind != RELEASE_ROLLBACK)
                return refuse(-ENOENT,
                              "the active release is no rollback: name the version to restore "
                              "(--to VERSION)",
                              why);
        for (size_t i = 0; i < s->facts.n_candidates; i++) {
                const Candidate *c = &s->facts.candidates[i];
                if (target ? streq(c->version, target) : c->previous) {
                        *ret_version = c->version;
                        return 0;
                }
        }
        return refuse(-ENOENT,
                      target ? "no such version: see rollbackctl history" :
                               "no version was active before",
                      why);
}

static int choose(const Service *s, OperationKind kind, const char *target,
                  const char **ret_version, StrBuf *why) {
        if (kind == OPERATION_RESTORE)
                return choose_restore(s, target, ret_version, why);
        TargetChoice choice = target_choose(&s->policy->rollback, &s->facts, target, why);
        if (!choice.candidate)
                return -ENOENT;
        *ret_version = choice.candidate->version;
        return 0;
}

static int check_request(const Engine *e, const Service *s, uint64_t epoch, const char *actor,
                         const char *reason, usec_t now, StrBuf *why) {
        if (strlen(actor) >= NAME_SIZE || strlen(reason) >= sizeof s->plan.reason)
                return refuse(-EINVAL, "the actor has at most 63 bytes, the reason at most 159",
                              why);
        if (!s->known)
                return refuse(-ENODATA, "the ledger has not said anything of this service yet",
                              why);
        if (!e->ledger_reachable)
                return refuse(
                        -EHOSTDOWN,
                        "the ledger cannot be reached; from psql: SELECT rollbackd.rollback(...)",
                        why);
        if (epoch != 0 && epoch != s->facts.epoch) {
                strbuf_add(why, "the pointer has moved: the active epoch is ");
                strbuf_add_u64(why, s->facts.epoch);
                return -ESTALE;
        }
        if (s->facts.pinned_until > now) {
                strbuf_add(why, "the service is pinned for another ");
                strbuf_add_usec_words(why, s->facts.pinned_until - now);
                strbuf_add(why, ": rollbackctl unpin ");
                strbuf_add(why, s->policy->service);
                return -EBUSY;
        }
        if (s->operation_state != OPERATION_NONE ||
            (*s->facts.operation.id && !streq(s->facts.operation.id, s->closed_id))) {
                strbuf_add(why, "an operation is in flight: ");
                strbuf_add(why, s->operation_state != OPERATION_NONE ? s->plan.id :
                                                                       s->facts.operation.id);
                return -EBUSY;
        }
        return 0;
}

int engine_request(Engine *e, uint32_t service, OperationKind kind, const char *target,
                   uint64_t epoch, const char *actor, const char *reason, usec_t now,
                   char ret_id[static OPERATION_ID_SIZE], StrBuf *why) {
        Service *s = engine_service(e, service);
        const char *version;

        if (!s)
                return refuse(-ENODATA, "no such service", why);
        int r = check_request(e, s, epoch, actor, reason, now, why);
        if (r < 0)
                return r;
        r = choose(s, kind, target, &version, why);
        if (r < 0)
                return r;
        s->plan = (OperationPlan){ .kind = kind, .from_epoch = s->facts.epoch };
        operation_make_id(e, s->plan.id);
        name_copy(s->plan.from_version, s->facts.version);
        name_copy(s->plan.to_version, version);
        name_copy(s->plan.actor, actor);
        text_copy(s->plan.reason, sizeof s->plan.reason, reason);
        Decision d;
        decision_make(e, s, decision_rule(s), now, &d);
        evidence_fill(s, &d, now, reason, &s->evidence);
        name_copy(s->evidence.target, version);
        operation_propose(e, s, now);
        memcpy(ret_id, s->plan.id, OPERATION_ID_SIZE);
        service_mark_fed(e, s);
        return 0;
}
