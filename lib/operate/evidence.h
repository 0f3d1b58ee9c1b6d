/* evidence.h: why a decision was taken, as one value with one field table: the JSON in the
 * ledger, `explain`, the page and the documentation are made from the table. Knows nothing of
 * JSON libraries. */
#pragma once

#include "guards.h"
#include "rules.h"

#define EVIDENCE_GUARDS_TEXT 512

typedef enum FieldType {
        FIELD_TEXT,
        FIELD_U64,
        FIELD_DOUBLE,
        FIELD_SECONDS /* a usec_t, written as seconds */,
        FIELD_BOOL
} FieldType;

typedef struct Evidence {
        char service[NAME_SIZE];
        char version[NAME_SIZE]; /* under judgement */
        uint64_t epoch;
        char target[NAME_SIZE]; /* "" : none */
        char rule[NAME_SIZE];
        const char *rule_kind;  /* static */
        char signal[NAME_SIZE]; /* or the probe, for down */
        const char *verdict;    /* static */
        const char *why;        /* static: verdict_why_words */
        double bad, total, value, lower, limit, dispersion, min_samples, min_bad, fewer;
        usec_t window, hold, bad_for, since_release;
        uint64_t targets, targets_down, targets_unknown, stragglers;
        const char *dependencies; /* static: "none declared", "good", "bad", "unknown" */
        const char *guard;        /* static: the one that held, "none" */
        /* every guard asked, in order: "depth passes; pause passes; cooldown holds (4 min left)" */
        char guards[EVIDENCE_GUARDS_TEXT];
        const char *mode;  /* static */
        char reading[160]; /* verdict_describe() */
        char reason[160];  /* one sentence */
} Evidence;

typedef struct EvidenceField {
        const char *name; /* JSON key */
        FieldType type;
        uint16_t offset;
        bool pointer; /* FIELD_TEXT: a const char *, not an array */
        const char *help;
} EvidenceField;

extern const EvidenceField evidence_fields[];
extern const size_t evidence_fields_n;
