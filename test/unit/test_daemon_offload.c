/* test_daemon_offload.c: values come back on the loop, overdue and cancelled tasks are freed
 * exactly once, the queue is bounded, names resolve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "offload.h"

#define TIMEOUT (20 * USEC_PER_SEC)

typedef struct Story {
        Loop *loop;
        Offload *offload;
        OffloadTask *task;
        LoopTimer *watch;
        unsigned done, overdue, expect;
        AddressList *found;
        int reason;
} Story;

static atomic_uint arguments_freed, values_freed;
static sem_t gate, started;

static void free_argument(void *p) {
        (void)p;
        atomic_fetch_add(&arguments_freed, 1);
}

static void free_value(void *p) {
        free(p);
        atomic_fetch_add(&values_freed, 1);
}

static void *work_at_once(void *argument) {
        int *value = malloc(sizeof *value);

        *value = *(int *)argument + 1;
        return value;
}

/* Stays in the worker until the test opens the gate. */
static void *work_at_gate(void *argument) {
        sem_post(&started);
        while (sem_wait(&gate) < 0)
                ;
        return work_at_once(argument);
}

static void on_watch(void *userdata, usec_t now) {
        Story *s = userdata;

        (void)now;
        if (s->expect != 0 && atomic_load(&values_freed) == s->expect)
                loop_exit(s->loop, 0);
        else
                loop_timer_set(s->watch, usec_add(now, 5 * USEC_PER_MSEC));
}

static int set_up(void **state) {
        Story *s = calloc(1, sizeof *s);

        assert_non_null(s);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(offload_new(&s->offload, s->loop, 2, 4), 0);
        assert_int_equal(loop_add_timer(s->loop, on_watch, s, "watch", &s->watch), 0);
        assert_int_equal(sem_init(&gate, 0, 0), 0);
        assert_int_equal(sem_init(&started, 0, 0), 0);
        atomic_store(&arguments_freed, 0);
        atomic_store(&values_freed, 0);
        *state = s;
        return 0;
}

static int tear_down(void **state) {
        Story *s = *state;

        offload_free(s->offload);
        loop_timer_free(s->watch);
        loop_free(s->loop);
        free(s->found);
        free(s);
        return 0;
}

static void on_done(void *userdata, int r, void *value) {
        Story *s = userdata;

        if (r == -ETIMEDOUT) {
                assert_null(value);
                s->overdue++;
        } else {
                assert_int_equal(r, 0);
                assert_int_equal(*(int *)value, 42);
                s->done++;
        }
        free(value);
        if (s->done + s->overdue == s->expect)
                loop_exit(s->loop, 0);
}

static void value_comes_back_on_the_loop(void **state) {
        Story *s = *state;
        int argument = 41;

        s->expect = 4;
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(offload_run(s->offload, work_at_once, &argument, free_argument,
                                             free_value, TIMEOUT, on_done, s, NULL),
                                 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->done, 4);
        assert_int_equal(atomic_load(&arguments_freed), 4);
        assert_int_equal(atomic_load(&values_freed), 0);
}

static void overdue_task_is_disowned_and_freed_when_it_comes(void **state) {
        Story *s = *state;
        int argument = 41;

        s->expect = 1;
        assert_int_equal(offload_run(s->offload, work_at_gate, &argument, free_argument, free_value,
                                     5 * USEC_PER_MSEC, on_done, s, &s->task),
                         0);
        sem_wait(&started);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->overdue, 1);
        assert_int_equal(atomic_load(&values_freed), 0);
        sem_post(&gate);
        /* The worker frees it by itself; a fresh loop waits for that. */
        loop_timer_free(s->watch);
        s->offload = offload_free(s->offload);
        loop_free(s->loop);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(loop_add_timer(s->loop, on_watch, s, "watch", &s->watch), 0);
        loop_timer_set(s->watch, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(atomic_load(&arguments_freed), 1);
        assert_int_equal(s->done, 0);
}

static void never(void *userdata, int r, void *value) {
        (void)userdata;
        (void)r;
        (void)value;
        fail_msg("a cancelled task called back");
}

static void cancelled_task_never_calls_back(void **state) {
        Story *s = *state;
        OffloadTask *running, *finished, *queued[2];
        int argument = 41;

        assert_int_equal(offload_run(s->offload, work_at_gate, &argument, free_argument, free_value,
                                     TIMEOUT, never, s, &running),
                         0);
        assert_int_equal(offload_run(s->offload, work_at_gate, &argument, free_argument, free_value,
                                     TIMEOUT, never, s, &finished),
                         0);
        sem_wait(&started);
        sem_wait(&started);
        for (unsigned i = 0; i < 2; i++)
                assert_int_equal(offload_run(s->offload, work_at_once, &argument, free_argument,
                                             free_value, TIMEOUT, never, s, &queued[i]),
                                 0);
        offload_cancel(queued[1]);
        offload_cancel(queued[0]);
        assert_int_equal(atomic_load(&arguments_freed), 2);
        offload_cancel(running);
        sem_post(&gate);
        sem_post(&gate);
        while (atomic_load(&arguments_freed) < 4)
                ;
        offload_cancel(finished);
        s->expect = 2;
        loop_timer_set(s->watch, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(atomic_load(&values_freed), 2);
}

/* The first sits at the gate and may not be joined by another of its work, also once nobody waits
 * for it any more; work of another kind passes. */
static void few_of_one_work_run_at_once(void **state) {
        Story *s = *state;
        OffloadTask *first;
        int argument = 41;

        assert_int_equal(offload_run_few(s->offload, 1, work_at_gate, &argument, free_argument,
                                         free_value, TIMEOUT, never, s, &first),
                         0);
        sem_wait(&started);
        assert_int_equal(offload_run_few(s->offload, 1, work_at_gate, &argument, free_argument,
                                         free_value, TIMEOUT, on_done, s, NULL),
                         0);
        offload_cancel(first);
        assert_int_equal(offload_run(s->offload, work_at_once, &argument, free_argument, free_value,
                                     TIMEOUT, on_done, s, NULL),
                         0);
        for (unsigned i = 0; atomic_load(&arguments_freed) < 1; i++) {
                assert_true(i < 20000);
                (void)poll(NULL, 0, 1);
        }
        assert_int_equal(sem_trywait(&started), -1);
        sem_post(&gate);
        sem_post(&gate);
        s->expect = 2;
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->done, 2);
        assert_int_equal(atomic_load(&arguments_freed), 3);
}

static void queue_is_bounded(void **state) {
        Story *s = *state;
        int argument = 41;

        s->expect = 4;
        for (unsigned i = 0; i < 4; i++)
                assert_int_equal(offload_run(s->offload, work_at_gate, &argument, free_argument,
                                             free_value, TIMEOUT, on_done, s, NULL),
                                 0);
        assert_int_equal(offload_run(s->offload, work_at_gate, &argument, free_argument, free_value,
                                     TIMEOUT, never, s, NULL),
                         -EAGAIN);
        assert_int_equal(atomic_load(&arguments_freed), 0);
        for (unsigned i = 0; i < 4; i++)
                sem_post(&gate);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->done, 4);
}

static void free_in_callback(void *userdata, int r, void *value) {
        Story *s = userdata;

        assert_int_equal(r, 0);
        free(value);
        s->done++;
        s->offload = offload_free(s->offload);
        loop_exit(s->loop, 0);
}

static void offload_may_go_inside_a_callback(void **state) {
        Story *s = *state;
        int argument = 41;

        for (unsigned i = 0; i < 3; i++)
                assert_int_equal(offload_run(s->offload, work_at_once, &argument, free_argument,
                                             free_value, TIMEOUT, free_in_callback, s, NULL),
                                 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->done, 1);
}

static void on_found(void *userdata, int r, void *value) {
        Story *s = userdata;

        s->reason = r;
        s->found = value;
        loop_exit(s->loop, 0);
}

static void names_and_numbers_resolve(void **state) {
        Story *s = *state;
        const struct sockaddr_in *address;

        assert_int_equal(offload_resolve(s->offload, "127.0.0.1", 5432, TIMEOUT, on_found, s, NULL),
                         0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->reason, 0);
        assert_int_equal(s->found->error, 0);
        assert_int_equal(s->found->n, 1);
        address = (const struct sockaddr_in *)&s->found->addresses[0].u.storage;
        assert_int_equal(address->sin_family, AF_INET);
        assert_int_equal(ntohs(address->sin_port), 5432);
        assert_int_equal(s->found->addresses[0].length, sizeof *address);
}

static void bad_name_is_an_answer(void **state) {
        Story *s = *state;
        char longer[300];

        memset(longer, 'a', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        assert_int_equal(offload_resolve(s->offload, longer, 1, TIMEOUT, on_found, s, NULL),
                         -EINVAL);
        assert_int_equal(offload_resolve(s->offload, "", 1, TIMEOUT, on_found, s, NULL), -EINVAL);
        assert_int_equal(
                offload_resolve(s->offload, "1.2.3.4.5.invalid", 1, TIMEOUT, on_found, s, NULL), 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->reason, 0);
        assert_int_not_equal(s->found->error, 0);
        assert_int_equal(s->found->n, 0);
        assert_true(strlen(offload_resolve_words(s->found->error)) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(value_comes_back_on_the_loop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(overdue_task_is_disowned_and_freed_when_it_comes,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(cancelled_task_never_calls_back, set_up, tear_down),
                cmocka_unit_test_setup_teardown(few_of_one_work_run_at_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(queue_is_bounded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(offload_may_go_inside_a_callback, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(names_and_numbers_resolve, set_up, tear_down),
                cmocka_unit_test_setup_teardown(bad_name_is_an_answer, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
