#include "evidence.h"

#define ARRAY_FIELD(member, words)                                                                 \
        { #member, FIELD_TEXT, offsetof(Evidence, member), false, words }
#define POINTER_FIELD(member, words)                                                               \
        { #member, FIELD_TEXT, offsetof(Evidence, member), true, words }
#define PLAIN_FIELD(member, type, words)                                                           \
        { #member, type, offsetof(Evidence, member), false, words }

const EvidenceField evidence_fields[] = {
        ARRAY_FIELD(service, "name of the service"),
        ARRAY_FIELD(version, "version under judgement"),
        PLAIN_FIELD(epoch, FIELD_U64, "epoch of the release under judgement"),
        ARRAY_FIELD(target, "version that a rollback goes to; empty: none"),
        ARRAY_FIELD(rule, "rule that decided; empty: a person asked"),
        POINTER_FIELD(rule_kind, "kind of the rule"),
        ARRAY_FIELD(signal, "signal that the rule reads, or the probe of a down rule"),
        POINTER_FIELD(verdict, "good, bad or unknown"),
        POINTER_FIELD(why, "what made the verdict"),
        PLAIN_FIELD(bad, FIELD_DOUBLE, "bad ones within the window, as counted"),
        PLAIN_FIELD(total, FIELD_DOUBLE, "all within the window; of a rate its seconds"),
        PLAIN_FIELD(value, FIELD_DOUBLE, "bad / total"),
        PLAIN_FIELD(lower, FIELD_DOUBLE,
                    "lower bound of the value after division by the dispersion"),
        PLAIN_FIELD(limit, FIELD_DOUBLE, "the limit that decided"),
        PLAIN_FIELD(dispersion, FIELD_DOUBLE,
                    "size of the clusters that errors are assumed to come in"),
        PLAIN_FIELD(min_samples, FIELD_DOUBLE, "least total / dispersion to say anything"),
        PLAIN_FIELD(min_bad, FIELD_DOUBLE, "least bad / dispersion to be bad"),
        PLAIN_FIELD(fewer, FIELD_DOUBLE, "with so many bad ones fewer the rule would not be bad"),
        PLAIN_FIELD(window, FIELD_SECONDS, "length of the rule's window"),
        PLAIN_FIELD(hold, FIELD_SECONDS, "how long the rule must be bad"),
        PLAIN_FIELD(bad_for, FIELD_SECONDS, "how long it has been bad"),
        PLAIN_FIELD(since_release, FIELD_SECONDS, "age of the release"),
        PLAIN_FIELD(targets, FIELD_U64, "targets of the rule's probe that answer this version"),
        PLAIN_FIELD(targets_down, FIELD_U64, "of these, down after rise and fall"),
        PLAIN_FIELD(targets_unknown, FIELD_U64, "of these, unknown"),
        PLAIN_FIELD(stragglers, FIELD_U64, "targets that still answer another version"),
        POINTER_FIELD(dependencies, "declared dependencies since the rule left good"),
        POINTER_FIELD(guard, "first guard that held, or none"),
        ARRAY_FIELD(guards, "every guard that was asked, in order, with its answer"),
        POINTER_FIELD(mode, "the policy's mode"),
        ARRAY_FIELD(reading, "the rule's reading in words"),
        ARRAY_FIELD(reason, "the decision in one sentence"),
};

const size_t evidence_fields_n = ELEMENTSOF(evidence_fields);
