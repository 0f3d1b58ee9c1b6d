#include "guards.h"

#include <errno.h>

static const GuardAnswer passes = { .answer = TRI_GOOD };

static GuardAnswer holds_until(usec_t until) {
        return (GuardAnswer){ .answer = TRI_BAD, .until = until };
}

/* Holds while `until` is ahead; 0 means not at all. */
static GuardAnswer ask_deadline(const GuardInput *in, usec_t until) {
        return until > in->now ? holds_until(until) : passes;
}

static GuardAnswer ask_ledger(const GuardInput *in) {
        if (!in->ledger_reachable || in->now > usec_add(in->facts_at, GUARD_FACTS_MAX_AGE))
                return holds_until(USEC_INFINITY);
        return passes;
}

static GuardAnswer ask_depth(const GuardInput *in) {
        return in->facts->kind == RELEASE_DEPLOY ? passes : holds_until(USEC_INFINITY);
}

static GuardAnswer ask_pin(const GuardInput *in) {
        return ask_deadline(in, in->facts->pinned_until);
}

static GuardAnswer ask_pause(const GuardInput *in) {
        return in->facts->automatic ? ask_deadline(in, in->facts->paused_until) :
                                      holds_until(USEC_INFINITY);
}

static GuardAnswer ask_warmup(const GuardInput *in) {
        return in->warming ? holds_until(in->warm_until) : passes;
}

static GuardAnswer ask_watch(const GuardInput *in) {
        usec_t end = usec_add(in->facts->released, in->policy->release.watch);
        return in->now > end ? holds_until(USEC_INFINITY) : passes;
}

static GuardAnswer ask_deploying(const GuardInput *in) {
        return in->facts->deploying ? holds_until(USEC_INFINITY) : passes;
}

static GuardAnswer ask_operation(const GuardInput *in) {
        return in->operation_in_flight ? holds_until(USEC_INFINITY) : passes;
}

static GuardAnswer ask_cooldown(const GuardInput *in) {
        return ask_deadline(in, MAX(in->facts->cooldown_until, in->observed_until));
}

static GuardAnswer ask_budget(const GuardInput *in) {
        const RollbackPolicy *p = &in->policy->rollback;
        if (in->facts->budget_used < p->budget_count || in->facts->budget_free_at <= in->now)
                return passes;
        return holds_until(in->facts->budget_free_at);
}

static GuardAnswer ask_barrier(const GuardInput *in) {
        return !in->target.candidate && in->target.barrier ? holds_until(USEC_INFINITY) : passes;
}

static GuardAnswer ask_target(const GuardInput *in) {
        return in->target.candidate || in->target.barrier ? passes : holds_until(USEC_INFINITY);
}

static GuardAnswer ask_dependency(const GuardInput *in) {
        return (GuardAnswer){ .answer = in->dependency,
                              .until = in->dependency == TRI_GOOD ? 0 : USEC_INFINITY };
}

static GuardAnswer ask_mode(const GuardInput *in) {
        return in->policy->rollback.mode == MODE_AUTOMATIC ? passes : holds_until(USEC_INFINITY);
}

typedef struct GuardRow {
        const char *name;
        GuardAnswer (*ask)(const GuardInput *in);
} GuardRow;

static const GuardRow rows[_GUARD_MAX] = {
        [GUARD_NONE] = { "none", NULL },
        [GUARD_LEDGER] = { "ledger", ask_ledger },
        [GUARD_DEPTH] = { "depth", ask_depth },
        [GUARD_PIN] = { "pin", ask_pin },
        [GUARD_PAUSE] = { "pause", ask_pause },
        [GUARD_WARMUP] = { "warmup", ask_warmup },
        [GUARD_WATCH] = { "watch", ask_watch },
        [GUARD_DEPLOYING] = { "deploying", ask_deploying },
        [GUARD_OPERATION] = { "operation", ask_operation },
        [GUARD_COOLDOWN] = { "cooldown", ask_cooldown },
        [GUARD_BUDGET] = { "budget", ask_budget },
        [GUARD_BARRIER] = { "barrier", ask_barrier },
        [GUARD_TARGET] = { "target", ask_target },
        [GUARD_DEPENDENCY] = { "dependency", ask_dependency },
        [GUARD_MODE] = { "mode", ask_mode },
};

int guards_ask(const GuardInput *in, GuardAnswer ret[static _GUARD_MAX], size_t *ret_n) {
        int holding = -1;
        size_t n = 0;

        for (Guard g = GUARD_NONE + 1; g < _GUARD_MAX; g++) {
                ret[n] = rows[g].ask(in);
                ret[n].guard = g;
                if (holding < 0 && ret[n].answer != TRI_GOOD)
                        holding = (int)n;
                n++;
        }
        *ret_n = n;
        return holding;
}

const char *guard_to_string(Guard g) {
        return rows[g].name;
}

int guard_from_string(const char *s) {
        for (size_t i = 0; i < ELEMENTSOF(rows); i++)
                if (streq(rows[i].name, s))
                        return (int)i;
        return -EINVAL;
}

static const char *words_of_ledger(const GuardInput *in) {
        return in->ledger_reachable ? "what the ledger last said is too old" :
                                      "the ledger cannot be reached";
}

static const char *words_of_dependency(const GuardInput *in) {
        return in->dependency == TRI_BAD ? " was bad or unknown since the rule left good" :
                                           " has no result yet since the rule left good";
}

/* The words of a guard that holds, without its deadline. */
static void describe_hold(const GuardInput *in, Guard g, StrBuf *b) {
        switch (g) {
        case GUARD_LEDGER:
                strbuf_add(b, words_of_ledger(in));
                break;
        case GUARD_DEPTH:
                strbuf_add(b, "the active release is a ");
                strbuf_add(b, release_kind_to_string(in->facts->kind));
                strbuf_add(b, ", only a deploy is taken back by itself");
                break;
        case GUARD_PIN:
                strbuf_add(b, "the service is pinned");
                break;
        case GUARD_PAUSE:
                strbuf_add(b, in->facts->automatic ? "the service is paused" :
                                                     "automation is off for this release");
                break;
        case GUARD_WARMUP:
                strbuf_add(b, "samples of the warm-up do not count");
                break;
        case GUARD_WATCH:
                strbuf_add(b, "the watch window of this release is over");
                break;
        case GUARD_DEPLOYING:
                strbuf_add(b, "a rolling deploy is not done yet");
                break;
        case GUARD_OPERATION:
                strbuf_add(b, "another operation is in flight");
                break;
        case GUARD_COOLDOWN:
                strbuf_add(b, "the last act is too recent");
                break;
        case GUARD_BUDGET:
                strbuf_add_u64(b, in->facts->budget_used);
                strbuf_add(b, " of ");
                strbuf_add_u64(b, in->policy->rollback.budget_count);
                strbuf_add(b, " rollbacks are used up");
                break;
        case GUARD_BARRIER:
                strbuf_add(b, "every target is behind a barrier or outside the schema range");
                break;
        case GUARD_TARGET:
                strbuf_add(b, "no version to go back to");
                break;
        case GUARD_DEPENDENCY:
                strbuf_add(b, in->dependency_name ? in->dependency_name : "a dependency");
                strbuf_add(b, words_of_dependency(in));
                break;
        case GUARD_MODE:
                strbuf_add(b, "the policy's mode is ");
                strbuf_add(b, rollback_mode_to_string(in->policy->rollback.mode));
                break;
        case GUARD_NONE:
        case _GUARD_MAX:
                break;
        }
}

void guard_describe(const GuardInput *in, const GuardAnswer *a, StrBuf *b) {
        strbuf_add(b, guard_to_string(a->guard));
        if (a->answer == TRI_GOOD) {
                strbuf_add(b, " passes");
                return;
        }
        strbuf_add(b, ": ");
        describe_hold(in, a->guard, b);
        if (a->until == USEC_INFINITY)
                return;
        strbuf_add(b, ", ");
        strbuf_add_usec_words(b, usec_sub(a->until, in->now));
        strbuf_add(b, " left");
}
