/* The facts of 1,000 services at once: each is told with its own. */
#include "ledger_story.h"

#include <stdio.h>

#include "number.h"

#define SERVICES 1000
#define REGISTERED 990 /* the others are not known to the ledger */

static struct {
        unsigned told[SERVICES];
        unsigned n, wrong;
} many;

/* Service s7 runs v7 at epoch 2 and came from v0; every tenth is paused. */
static void on_facts_of_many(_unused_ void *userdata, const char *service,
                             const ServiceFacts *facts, _unused_ usec_t at) {
        char version[NAME_SIZE];
        uint64_t i;

        assert_int_equal(number_parse_u64(service + 1, strlen(service + 1), &i), 0);
        assert_true(i < SERVICES);
        snprintf(version, sizeof version, "v%u", (unsigned)i + 1);
        if (i >= REGISTERED)
                many.wrong += facts != NULL;
        else
                many.wrong += !facts || !streq(facts->version, version) || facts->epoch != 2 ||
                              facts->n_candidates != 1 ||
                              !streq(facts->candidates[0].version, "v0") ||
                              (facts->paused_until > 0) != (i % 10 == 0);
        many.n += many.told[i]++ == 0;
}

static bool are_all_told(_unused_ void *userdata) {
        return many.n == SERVICES;
}

static void test_many_services(void **state) {
        Harness *h = *state;
        LedgerOwner mine = ledger_story_owner;
        LedgerService *services = calloc(SERVICES, sizeof services[0]);
        char(*names)[NAME_SIZE] = calloc(SERVICES, sizeof names[0]);

        assert_true(services && names);
        memset(&many, 0, sizeof many);
        harness_sql(
                h, "SELECT rollbackd.register('s' || i, 'v0', true, 'it runs') FROM "
                   "generate_series(0, 989) i;"
                   "SELECT rollbackd.deploy('s' || i, 'v' || i + 1) FROM generate_series(0, 989) i;"
                   "SELECT rollbackd.pause('s' || i, '1 hour', 'a test') FROM generate_series(0, "
                   "989, 10) i");
        for (size_t i = 0; i < SERVICES; i++) {
                snprintf(names[i], sizeof names[i], "s%zu", i);
                services[i] = (LedgerService){ names[i], 600 * USEC_PER_SEC, USEC_PER_DAY };
        }
        mine.on_facts = on_facts_of_many;
        seen = (LedgerStory){ .h = h };
        assert_int_equal(ledger_new(&seen.ledger, h->loop, h->offload, h->conninfo, &mine, 1), 0);
        assert_int_equal(ledger_watch(seen.ledger, services, SERVICES), 0);
        free(services);
        free(names);
        harness_wait(h, are_all_told, NULL, "the facts of all");
        assert_int_equal(many.wrong, 0);
        assert_int_equal(seen.n_trouble, 0);

        /* A notification reads its own service alone. */
        memset(&many, 0, sizeof many);
        harness_sql(h, "SELECT rollbackd.pause('s20', '2 hours', 'a test')");
        bool is_told(_unused_ void *userdata) {
                return many.told[20] > 0;
        }
        harness_wait(h, is_told, NULL, "the facts of one");
        /* Unless the poll of all came just then. */
        assert_true(many.n == 1 || many.n == SERVICES);
        assert_int_equal(many.wrong, 0);
        ledger_story_close();
}

int main(void) {
        const struct CMUnitTest tests[] = {
                LEDGER_TEST(test_many_services),
        };

        return cmocka_run_group_tests(tests, harness_group_setup, harness_group_teardown);
}
