/* test_daemon_loop.c: timers, descriptors, signals, the jump, and freeing things inside their own
 * callbacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <sys/time.h>
#include <unistd.h>

#include "loop.h"

typedef struct Story {
        Loop *loop;
        LoopTimer *timer, *other, *burner;
        LoopIo *io;
        usec_t fired_at, gap;
        int fd[2];
        unsigned count, jumps;
} Story;

static void give_up(void *userdata, usec_t now) {
        Story *s = userdata;

        (void)now;
        loop_exit(s->loop, -ETIMEDOUT);
}

static int set_up(void **state) {
        Story *s = calloc(1, sizeof *s);

        assert_non_null(s);
        assert_int_equal(loop_new(&s->loop), 0);
        assert_int_equal(loop_add_timer(s->loop, give_up, s, "give up", &s->other), 0);
        loop_timer_set(s->other, usec_add(loop_now(s->loop), 20 * USEC_PER_SEC));
        assert_int_equal(pipe2(s->fd, O_CLOEXEC | O_NONBLOCK), 0);
        *state = s;
        return 0;
}

static int tear_down(void **state) {
        Story *s = *state;

        loop_io_free(s->io);
        loop_timer_free(s->timer);
        loop_timer_free(s->other);
        loop_free(s->loop);
        close(s->fd[0]);
        close(s->fd[1]);
        free(s);
        return 0;
}

static void fire_and_free(void *userdata, usec_t now) {
        Story *s = userdata;

        s->fired_at = now;
        s->timer = loop_timer_free(s->timer);
        loop_exit(s->loop, 7);
}

/* Whoever owns a timer may be freed after the loop. */
static void timers_outlive_their_loop(void **state) {
        Story *s = *state;
        LoopTimer *third = NULL;

        assert_int_equal(loop_add_timer(s->loop, fire_and_free, s, "second", &s->timer), 0);
        assert_int_equal(loop_add_timer(s->loop, fire_and_free, s, "third", &third), 0);
        s->loop = loop_free(s->loop);
        s->timer = loop_timer_free(s->timer);
        loop_timer_free(third);
}

static void timer_is_never_early_and_may_free_itself(void **state) {
        Story *s = *state;
        usec_t at;

        assert_int_equal(loop_add_timer(s->loop, fire_and_free, s, "once", &s->timer), 0);
        at = usec_add(loop_now(s->loop), 5 * USEC_PER_MSEC);
        loop_timer_set(s->timer, at);
        assert_int_equal(loop_run(s->loop), 7);
        assert_true(s->fired_at >= at);
        assert_null(s->timer);
}

static void count_three(void *userdata, usec_t now) {
        Story *s = userdata;

        if (++s->count == 3)
                loop_exit(s->loop, 0);
        else
                loop_timer_set(s->timer, now);
}

static void timer_is_armed_again_in_its_callback(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, count_three, s, "thrice", &s->timer), 0);
        loop_timer_set(s->timer, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->count, 3);
}

static void exit_zero(void *userdata, usec_t now) {
        Story *s = userdata;

        (void)now;
        loop_exit(s->loop, 0);
}

static void disarmed_timer_stays_quiet(void **state) {
        Story *s = *state;
        LoopTimer *end;

        assert_int_equal(loop_add_timer(s->loop, fire_and_free, s, "disarmed", &s->timer), 0);
        loop_timer_set(s->timer, 0);
        loop_timer_set(s->timer, USEC_INFINITY);
        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "end", &end), 0);
        loop_timer_set(end, usec_add(loop_now(s->loop), 20 * USEC_PER_MSEC));
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->fired_at, 0);
        loop_timer_free(end);
}

static void read_and_free(void *userdata, int fd, uint32_t events) {
        Story *s = userdata;
        char c;

        assert_true(events & EPOLLIN);
        assert_int_equal(read(fd, &c, 1), 1);
        s->count++;
        s->io = loop_io_free(s->io);
        loop_exit(s->loop, 0);
}

static void io_is_called_and_may_free_itself(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_io(s->loop, s->fd[0], EPOLLIN, read_and_free, s, "pipe", &s->io),
                         0);
        assert_int_equal(write(s->fd[1], "x", 1), 1);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->count, 1);
        assert_null(s->io);
}

static void on_usr1(void *userdata, int signal_number) {
        Story *s = userdata;

        assert_int_equal(signal_number, SIGUSR1);
        loop_exit(s->loop, 3);
}

static void signal_reaches_the_loop(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_signal(s->loop, SIGUSR1, on_usr1, s), 0);
        assert_int_equal(kill(getpid(), SIGUSR1), 0);
        assert_int_equal(loop_run(s->loop), 3);
}

static void on_jump(void *userdata, usec_t gap, usec_t now) {
        Story *s = userdata;

        (void)now;
        s->jumps++;
        s->gap = gap;
        loop_exit(s->loop, 0);
}

/* Standing still is what is tested, so this callback really does. */
static void stand_still(void *userdata, usec_t now) {
        (void)userdata;
        (void)now;
        assert_int_equal(poll(NULL, 0, 2200), 0);
}

static void standing_still_is_a_jump(void **state) {
        Story *s = *state;

        loop_on_jump(s->loop, on_jump, s);
        assert_int_equal(loop_add_timer(s->loop, stand_still, s, "still", &s->timer), 0);
        loop_timer_set(s->timer, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->jumps, 1);
        assert_true(s->gap > 2 * USEC_PER_SEC);
}

static void idling_is_no_jump(void **state) {
        Story *s = *state;

        loop_on_jump(s->loop, on_jump, s);
        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "end", &s->timer), 0);
        loop_timer_set(s->timer, usec_add(loop_now(s->loop), 2500 * USEC_PER_MSEC));
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->jumps, 0);
}

/* Stopped by its child while it sleeps, for longer than a gap may be. */
static void sleep_stopped(Story *s, usec_t due) {
        pid_t me = getpid(), child = fork();

        assert_true(child >= 0);
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)poll(NULL, 0, 50);
                (void)kill(me, SIGSTOP);
                (void)poll(NULL, 0, 2500);
                (void)kill(me, SIGCONT);
                _exit(0);
        }
        loop_on_jump(s->loop, on_jump, s);
        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "end", &s->timer), 0);
        loop_timer_set(s->timer, usec_add(loop_now(s->loop), due));
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_timer_that_comes_late_is_a_jump(void **state) {
        Story *s = *state;

        sleep_stopped(s, 200 * USEC_PER_MSEC);
        assert_int_equal(s->jumps, 1);
        assert_true(s->gap > 2 * USEC_PER_SEC);
}

/* It wakes the loop, beyond the longest gap, with nothing to do. */
static void feeding_the_watchdog_is_no_jump(void **state) {
        Story *s = *state;

        assert_int_equal(setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1), 0);
        assert_int_equal(setenv("WATCHDOG_USEC", "4200000", 1), 0);
        loop_on_jump(s->loop, on_jump, s);
        assert_int_equal(loop_enable_watchdog(s->loop), 0);
        assert_int_equal(unsetenv("WATCHDOG_USEC"), 0);
        assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "end", &s->timer), 0);
        loop_timer_set(s->timer, usec_add(loop_now(s->loop), 3500 * USEC_PER_MSEC));
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->jumps, 0);
}

/* Nobody was kept waiting. */
static void on_alarm(int number) {
        (void)number;
}

static void sleep_once(void *userdata, usec_t now) {
        Story *s = userdata;

        if (s->count++ > 0)
                loop_exit(s->loop, 0);
        else
                loop_timer_set(s->timer, usec_add(now, 2600 * USEC_PER_MSEC));
}

/* As by a debugger that comes or goes. */
static void an_interrupted_sleep_is_no_jump(void **state) {
        static const struct itimerval once = { .it_value = { .tv_sec = 2, .tv_usec = 300000 } };
        struct sigaction action = { .sa_handler = on_alarm }, before;
        Story *s = *state;

        assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
        assert_int_equal(setitimer(ITIMER_REAL, &once, NULL), 0);
        loop_on_jump(s->loop, on_jump, s);
        /* After a turn, for only then the loop has an instant to be stale. */
        assert_int_equal(loop_add_timer(s->loop, sleep_once, s, "end", &s->timer), 0);
        loop_timer_set(s->timer, loop_now(s->loop));
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(s->jumps, 0);
        assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
}

static void sleeping_with_nothing_due_is_no_jump(void **state) {
        Story *s = *state;
        LoopTimer *off;

        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "off", &off), 0);
        loop_timer_set(off, 0);
        loop_timer_set(off, USEC_INFINITY);
        sleep_stopped(s, 2900 * USEC_PER_MSEC);
        assert_int_equal(s->jumps, 0);
        loop_timer_free(off);
}

static usec_t cpu_now(void) {
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
        return (usec_t)t.tv_sec * USEC_PER_SEC + (usec_t)t.tv_nsec / 1000;
}

static void burn(void *userdata, usec_t now) {
        Story *s = userdata;
        usec_t start = cpu_now();

        (void)now;
        while (cpu_now() - start < 30 * USEC_PER_MSEC)
                ;
        loop_timer_set(s->timer, USEC_INFINITY);
        assert_int_equal(loop_add_timer(s->loop, exit_zero, s, "end", &s->timer), 0);
        loop_timer_set(s->timer, usec_add(loop_now(s->loop), 100 * USEC_PER_MSEC));
}

static void ends_after_two(void *userdata) {
        Story *s = userdata;

        if (++s->count == 2) {
                loop_after_each(s->loop, NULL, NULL);
                loop_exit(s->loop, 9);
        }
}

static void fire_again(void *userdata, usec_t now) {
        Story *s = userdata;

        s->jumps++;
        loop_timer_set(s->timer, now);
}

static void what_comes_after_each_callback_may_end_it(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, fire_again, s, "again", &s->timer), 0);
        loop_timer_set(s->timer, 0);
        loop_after_each(s->loop, ends_after_two, s);
        assert_int_equal(loop_run(s->loop), 9);
        assert_int_equal(s->count, 2);
        assert_int_equal(s->jumps, 2);
}

static void longest_turn_is_cpu_time(void **state) {
        Story *s = *state;
        LoopTimer *burner;

        assert_int_equal(loop_add_timer(s->loop, burn, s, "burn", &burner), 0);
        s->timer = burner;
        loop_timer_set(burner, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_true(loop_longest_turn(s->loop) >= 30 * USEC_PER_MSEC);
        loop_timer_free(burner);
}

static void note_stall(void *userdata, usec_t now _unused_) {
        Story *s = userdata;

        s->fired_at = loop_stalled(s->loop);
        loop_exit(s->loop, 0);
}

static void sleep_then_note(void *userdata, usec_t now) {
        Story *s = userdata;

        /* What a turn has taken so far counts within it, too. */
        (void)poll(NULL, 0, 30);
        assert_true(loop_stalled(s->loop) >= 30 * USEC_PER_MSEC);
        loop_timer_set(s->timer, now);
}

static void a_long_turn_is_a_stall(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, sleep_then_note, s, "sleep", &s->burner), 0);
        assert_int_equal(loop_add_timer(s->loop, note_stall, s, "note", &s->timer), 0);
        loop_timer_set(s->burner, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_true(s->fired_at >= 30 * USEC_PER_MSEC);
        loop_timer_free(s->burner);
}

static void wait_for_stall(void *userdata, usec_t now) {
        Story *s = userdata;

        s->fired_at = loop_stalled(s->loop);
        if (s->fired_at >= 100 * USEC_PER_MSEC)
                loop_exit(s->loop, 0);
        loop_timer_set(s->timer, now + 50 * USEC_PER_MSEC);
}

/* Stopped again and again while it sleeps; sooner or later its timer is due meanwhile. */
static void a_late_wake_up_is_a_stall(void **state) {
        Story *s = *state;
        pid_t me = getpid(), child = fork();

        assert_true(child >= 0);
        if (child == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (unsigned i = 0; i < 6; i++) {
                        (void)kill(me, SIGSTOP);
                        (void)poll(NULL, 0, 200);
                        (void)kill(me, SIGCONT);
                        (void)poll(NULL, 0, 20);
                }
                _exit(0);
        }
        assert_int_equal(loop_add_timer(s->loop, wait_for_stall, s, "note", &s->timer), 0);
        loop_timer_set(s->timer, loop_now(s->loop) + 50 * USEC_PER_MSEC);
        assert_int_equal(loop_run(s->loop), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
}

static void sleeping_is_no_stall(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, note_stall, s, "note", &s->timer), 0);
        loop_timer_set(s->timer, loop_now(s->loop) + 400 * USEC_PER_MSEC);
        assert_int_equal(loop_run(s->loop), 0);
        assert_true(s->fired_at < 400 * USEC_PER_MSEC);
}

/* Two timers that are always due: the loop is never idle, and its turns are still those of both. */
static void burn_again(LoopTimer *t, usec_t now) {
        usec_t start = cpu_now();

        while (cpu_now() - start < 10 * USEC_PER_MSEC)
                ;
        loop_timer_set(t, now);
}

static void burn_one(void *userdata, usec_t now) {
        Story *s = userdata;

        burn_again(s->timer, now);
        if (++s->count == 40)
                loop_exit(s->loop, 0);
}

static void burn_other(void *userdata, usec_t now) {
        Story *s = userdata;

        burn_again(s->burner, now);
}

static void a_loop_that_is_never_idle_has_turns(void **state) {
        Story *s = *state;

        assert_int_equal(loop_add_timer(s->loop, burn_one, s, "one", &s->timer), 0);
        assert_int_equal(loop_add_timer(s->loop, burn_other, s, "other", &s->burner), 0);
        loop_timer_set(s->timer, 0);
        loop_timer_set(s->burner, 0);
        assert_int_equal(loop_run(s->loop), 0);
        assert_true(loop_longest_turn(s->loop) >= 20 * USEC_PER_MSEC);
        assert_true(loop_longest_turn(s->loop) < 200 * USEC_PER_MSEC);
        loop_timer_free(s->burner);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(timers_outlive_their_loop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(timer_is_never_early_and_may_free_itself, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(timer_is_armed_again_in_its_callback, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(disarmed_timer_stays_quiet, set_up, tear_down),
                cmocka_unit_test_setup_teardown(io_is_called_and_may_free_itself, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(signal_reaches_the_loop, set_up, tear_down),
                cmocka_unit_test_setup_teardown(standing_still_is_a_jump, set_up, tear_down),
                cmocka_unit_test_setup_teardown(idling_is_no_jump, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_timer_that_comes_late_is_a_jump, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(feeding_the_watchdog_is_no_jump, set_up, tear_down),
                cmocka_unit_test_setup_teardown(an_interrupted_sleep_is_no_jump, set_up, tear_down),
                cmocka_unit_test_setup_teardown(sleeping_with_nothing_due_is_no_jump, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(what_comes_after_each_callback_may_end_it, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_long_turn_is_a_stall, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_late_wake_up_is_a_stall, set_up, tear_down),
                cmocka_unit_test_setup_teardown(sleeping_is_no_stall, set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_loop_that_is_never_idle_has_turns, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(longest_turn_is_cpu_time, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
