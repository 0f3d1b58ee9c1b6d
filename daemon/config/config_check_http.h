/* config_check_http.h: what the two halves of the check of http probes share: config_check_http.c
 * looks at requests and steps, config_check_answer.c at what is expected of answers. Nobody else
 * includes it. */
#pragma once

#include "config_check.h"

/* One request of a probe, and where its mistakes are told. */
typedef struct CallCheck {
        const ProbeConfig *probe;
        const HttpCallConfig *call;
        size_t step; /* SIZE_MAX: of a probe without steps */
        unsigned line;
        ConfigErrors *errors;
} CallCheck;

/* Adds a mistake at "probes.NAME.KEY", or at "probes.NAME.steps[I].KEY"; `line` 0: the call's. */
void call_refuse(const CallCheck *c, unsigned line, const char *key, const char *words);
/* Adds one that begins with the text, shown in quotes. */
void call_refuse_shown(const CallCheck *c, unsigned line, const char *key, const char *shown,
                       const char *words);
/* The part about what the answer must be, and what is taken of it. */
void config_check_answer(const CallCheck *c);
