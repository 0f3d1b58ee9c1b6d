/* The poller: one source for many descriptors, whose watchers come and go within its callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "poller.h"

#define PEERS 40

typedef struct Story Story;

typedef struct Peer {
        PollItem item; /* first */
        Story *story;
        int ends[2];
        unsigned told;
        uint32_t events;
} Peer;

struct Story {
        Loop *loop;
        Poller *poller;
        LoopTimer *other;
        Peer peers[PEERS];
        unsigned told, turns, others;
};

static void on_told(void *userdata) {
        Story *s = userdata;

        assert_false(poller_is_serving(s->poller));
        s->turns++;
}

static int set_up(void **state) {
        Story *s = calloc(1, sizeof *s);

        assert_non_null(s);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(poller_new(&s->poller, s->loop, on_told, s), 0);
        for (unsigned i = 0; i < PEERS; i++) {
                s->peers[i].story = s;
                s->peers[i].item.fd = -1;
                assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                                            s->peers[i].ends),
                                 0);
        }
        *state = s;
        return 0;
}

static void hang_up(Peer *p) {
        poller_remove(p->story->poller, &p->item);
        if (p->ends[0] >= 0)
                close(p->ends[0]);
        p->ends[0] = -1;
}

static int tear_down(void **state) {
        Story *s = *state;

        for (unsigned i = 0; i < PEERS; i++) {
                hang_up(&s->peers[i]);
                close(s->peers[i].ends[1]);
        }
        poller_free(s->poller);
        loop_timer_free(s->other);
        loop_free(s->loop);
        free(s);
        return 0;
}

static void count(PollItem *item, uint32_t events) {
        Peer *p = (Peer *)item;

        assert_true(poller_is_serving(p->story->poller));
        p->told++;
        p->story->told++;
        p->events = events;
}

static void watch(Story *s, unsigned i, void (*on_ready)(PollItem *, uint32_t)) {
        Peer *p = &s->peers[i];

        assert_int_equal(poller_add(s->poller, &p->item, p->ends[0], EPOLLIN, on_ready), 0);
}

static void speak(Story *s, unsigned i) {
        assert_int_equal(write(s->peers[i].ends[1], "x", 1), 1);
}

static void what_is_ready_is_told_once(void **state) {
        Story *s = *state;

        for (unsigned i = 0; i < PEERS; i++)
                watch(s, i, count);
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->told, 0);
        for (unsigned i = 0; i < PEERS; i += 2)
                speak(s, i);
        assert_true(poller_serve(s->poller));
        /* It has not been read, and is not told again: only what comes next is. */
        assert_true(poller_serve(s->poller));
        for (unsigned i = 0; i < PEERS; i++)
                assert_int_equal(s->peers[i].told, i % 2 == 0);
        speak(s, 2);
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->peers[2].told, 2);
        assert_int_equal(s->told, PEERS / 2 + 1);
        assert_int_equal(s->turns, 4);
}

static void an_end_is_told_with_what_came_before_it(void **state) {
        Story *s = *state;

        watch(s, 0, count);
        speak(s, 0);
        assert_int_equal(shutdown(s->peers[0].ends[1], SHUT_WR), 0);
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->peers[0].told, 1);
        assert_true(s->peers[0].events & EPOLLIN);
        assert_true(s->peers[0].events & EPOLLRDHUP);
}

static void what_is_left_is_told_again_when_asked_for(void **state) {
        Story *s = *state;

        watch(s, 0, count);
        speak(s, 0);
        for (unsigned i = 1; i <= 3; i++) {
                assert_true(poller_serve(s->poller));
                assert_int_equal(s->peers[0].told, i);
                assert_int_equal(poller_tell_again(s->poller, &s->peers[0].item, EPOLLIN), 0);
        }
        char byte;
        assert_int_equal(read(s->peers[0].ends[0], &byte, 1), 1);
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->peers[0].told, 3);
}

/* Ends every other one, whose events lie in the same batch, and opens a descriptor of the same
 * number for somebody who has nothing to be told. */
static void end_the_others(PollItem *item, uint32_t events) {
        Peer *me = (Peer *)item;
        Story *s = me->story;

        count(item, events);
        for (unsigned i = 0; i < PEERS; i++) {
                Peer *p = &s->peers[i];
                int number = p->ends[0];

                if (p == me)
                        continue;
                hang_up(p);
                assert_int_equal(dup2(me->ends[1], number), number);
                p->ends[0] = number;
                watch(s, i, count);
        }
}

static void an_event_of_a_closed_descriptor_reaches_nobody(void **state) {
        Story *s = *state;

        for (unsigned i = 0; i < PEERS; i++) {
                watch(s, i, end_the_others);
                speak(s, i);
        }
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->told, 1);
}

/* A descriptor that another process still holds stays in the epoll when it is closed here. */
static void an_event_of_a_descriptor_that_lives_on_elsewhere_reaches_nobody(void **state) {
        Story *s = *state;
        int copy = dup(s->peers[0].ends[0]);

        assert_true(copy >= 0);
        watch(s, 0, count);
        hang_up(&s->peers[0]);
        speak(s, 0);
        assert_true(poller_serve(s->poller));
        assert_int_equal(s->told, 0);
        close(copy);
}

static void end_myself(PollItem *item, uint32_t events) {
        Peer *p = (Peer *)item;
        Story *s = p->story;

        count(item, events);
        hang_up(p);
        if (s->told == PEERS)
                loop_exit(s->loop, 0);
}

static void the_loop_serves_it(void **state) {
        Story *s = *state;

        for (unsigned i = 0; i < PEERS; i++) {
                watch(s, i, end_myself);
                speak(s, i);
        }
        assert_int_equal(loop_run(s->loop), 0);
        for (unsigned i = 0; i < PEERS; i++)
                assert_int_equal(s->peers[i].told, 1);
}

/* One event may take long. */
static void dawdle(PollItem *item, uint32_t events) {
        usec_t end = loop_clock() + USEC_PER_MSEC;

        while (loop_clock() < end)
                ;
        count(item, events);
}

static void what_does_not_fit_a_turn_is_told_in_the_next_one(void **state) {
        Story *s = *state;
        unsigned told = 0;

        for (unsigned i = 0; i < PEERS; i++) {
                watch(s, i, dawdle);
                speak(s, i);
        }
        assert_false(poller_serve(s->poller));
        for (unsigned i = 0; i < PEERS; i++)
                told += s->peers[i].told;
        assert_in_range(told, 1, PEERS - 1);
        /* One that was put back and is gone by then is told nothing. */
        for (unsigned i = 0; i < PEERS; i++)
                if (s->peers[i].told == 0) {
                        hang_up(&s->peers[i]);
                        s->peers[i].told = 1;
                        break;
                }
        while (!poller_serve(s->poller))
                ;
        for (unsigned i = 0; i < PEERS; i++)
                assert_int_equal(s->peers[i].told, 1);
}

static void chatter(PollItem *item, uint32_t events) {
        Peer *p = (Peer *)item;

        dawdle(item, events);
        assert_int_equal(poller_tell_again(p->story->poller, item, EPOLLIN), 0);
}

static void on_other(void *userdata, usec_t now) {
        Story *s = userdata;

        loop_timer_set(s->other, now);
        if (++s->others == 5)
                loop_exit(s->loop, 0);
}

static void descriptors_that_never_rest_leave_others_their_turn(void **state) {
        Story *s = *state;

        for (unsigned i = 0; i < PEERS; i++) {
                watch(s, i, chatter);
                speak(s, i);
        }
        assert_false(poller_serve(s->poller));
        assert_int_equal(loop_add_timer(s->loop, on_other, s, "other", &s->other), 0);
        loop_timer_set(s->other, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_true(s->turns >= 4);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                STORY(what_is_ready_is_told_once),
                STORY(an_end_is_told_with_what_came_before_it),
                STORY(what_is_left_is_told_again_when_asked_for),
                STORY(an_event_of_a_closed_descriptor_reaches_nobody),
                STORY(an_event_of_a_descriptor_that_lives_on_elsewhere_reaches_nobody),
                STORY(the_loop_serves_it),
                STORY(what_does_not_fit_a_turn_is_told_in_the_next_one),
                STORY(descriptors_that_never_rest_leave_others_their_turn),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
