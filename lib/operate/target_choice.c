#include "target_choice.h"

static bool is_behind(const Candidate *c) {
        return c->behind_barrier || !c->schema_fits;
}

static bool is_eligible(const Candidate *c) {
        return !c->quarantined && !is_behind(c);
}

static void describe_obstacle(const Candidate *c, StrBuf *why) {
        strbuf_add(why, c->version);
        strbuf_add(why, c->quarantined    ? " is quarantined" :
                        c->behind_barrier ? " is behind a barrier" :
                                            " does not fit the current schema");
}

static TargetChoice choose_none(const Candidate *obstacle, const char *words, StrBuf *why) {
        strbuf_add(why, "no target: ");
        if (obstacle)
                describe_obstacle(obstacle, why);
        else
                strbuf_add(why, words);
        return (TargetChoice){ .barrier = obstacle && !obstacle->quarantined &&
                                          is_behind(obstacle) };
}

static TargetChoice choose_one(const Candidate *c, const char *as, StrBuf *why) {
        strbuf_add(why, c->version);
        strbuf_add(why, as);
        return (TargetChoice){ .candidate = c };
}

/* The newest release that is stable and can be reached. What stands between is told of the newest
 * stable one that a barrier keeps away, else of the newest stable one at all. */
static TargetChoice choose_last_stable(const ServiceFacts *facts, StrBuf *why) {
        const Candidate *obstacle = NULL;

        for (size_t i = 0; i < facts->n_candidates; i++) {
                const Candidate *c = &facts->candidates[i];
                if (!c->stable)
                        continue;
                if (is_eligible(c))
                        return choose_one(c, ", stable", why);
                if (!obstacle || (obstacle->quarantined && !c->quarantined))
                        obstacle = c;
        }
        return choose_none(obstacle, "no other version is stable", why);
}

static TargetChoice choose_previous(const ServiceFacts *facts, StrBuf *why) {
        for (size_t i = 0; i < facts->n_candidates; i++) {
                const Candidate *c = &facts->candidates[i];
                if (c->previous)
                        return is_eligible(c) ? choose_one(c, ", previous", why) :
                                                choose_none(c, NULL, why);
        }
        return choose_none(NULL, "no version was active before", why);
}

static TargetChoice choose_named(const ServiceFacts *facts, const char *version, const char *as,
                                 StrBuf *why) {
        if (streq(facts->version, version)) {
                strbuf_add(why, "no target: ");
                strbuf_add(why, version);
                strbuf_add(why, " is the active version");
                return (TargetChoice){ 0 };
        }
        for (size_t i = 0; i < facts->n_candidates; i++) {
                const Candidate *c = &facts->candidates[i];
                if (streq(c->version, version))
                        return is_eligible(c) ? choose_one(c, as, why) : choose_none(c, NULL, why);
        }
        strbuf_add(why, "no target: ");
        strbuf_add_escaped(why, version, strlen(version));
        strbuf_add(why, " is not among the versions of this service");
        return (TargetChoice){ 0 };
}

TargetChoice target_choose(const RollbackPolicy *p, const ServiceFacts *facts, const char *wanted,
                           StrBuf *why) {
        if (wanted)
                return choose_named(facts, wanted, ", asked for", why);
        switch (p->strategy) {
        case STRATEGY_LAST_STABLE:
                return choose_last_stable(facts, why);
        case STRATEGY_PREVIOUS:
                return choose_previous(facts, why);
        case STRATEGY_VERSION:
                return choose_named(facts, p->version ? p->version : "", ", named in the policy",
                                    why);
        case _STRATEGY_MAX:
                break;
        }
        return choose_none(NULL, "the policy names no strategy", why);
}
