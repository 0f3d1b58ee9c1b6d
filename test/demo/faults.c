#include "faults.h"

#include <errno.h>

#include "number.h"

void faults_init(Faults *f, uint64_t seed) {
        *f = (Faults){ .random = seed * 0x9e3779b97f4a7c15ULL + 1 };
        if (f->random == 0)
                f->random = 1;
}

/* xorshift64*: a demo needs no better dice, only the same ones again. */
static uint64_t roll(Faults *f) {
        f->random ^= f->random >> 12;
        f->random ^= f->random << 25;
        f->random ^= f->random >> 27;
        return f->random * 0x2545f4914f6cdd1dULL;
}

int faults_add(Faults *f, const char *text) {
        const char *equals = strchr(text, '='), *at = strchr(text, '@');
        Fault *fault = &f->rows[f->n];
        uint64_t percent;
        size_t n;

        if (f->n == FAULTS_MAX)
                return -E2BIG;
        n = equals ? (size_t)(equals - text) : 0;
        if (n == 0 || n >= sizeof fault->version)
                return -EINVAL;
        *fault = (Fault){ 0 };
        memcpy(fault->version, text, n);
        n = at > equals ? (size_t)(at - equals - 1) : strlen(equals + 1);
        if (number_parse_u64(equals + 1, n, &percent) < 0 || percent > 100)
                return -EINVAL;
        if (at && number_parse_u64(at + 1, strlen(at + 1), &fault->since_epoch) < 0)
                return -EINVAL;
        fault->percent = (unsigned)percent;
        f->n++;
        return 0;
}

bool faults_strike(Faults *f, const char *version, uint64_t epoch) {
        for (size_t i = 0; i < f->n; i++)
                if (streq(f->rows[i].version, version) && epoch >= f->rows[i].since_epoch)
                        return (roll(f) >> 32) % 100 < f->rows[i].percent;
        return false;
}
