#include "prober_internal.h"

/* One of so many targets at most is probed at fast_interval. */
#define FAST_SHARE 10

/* The first point of the grid after `now`. */
usec_t target_next_on_grid(const Target *t, usec_t now) {
        usec_t interval = t->probe->config->interval;

        if (now < t->phase)
                return t->phase;
        return now + interval - (now - t->phase) % interval;
}

void target_schedule_first(Target *t, usec_t now) {
        Prober *p = t->probe->service->prober;
        const ProbeConfig *config = t->probe->config;
        usec_t spread = config->spread > 0 ? config->spread : config->interval;

        /* On a tick, so that starts whose intervals are whole ticks wait for none. */
        t->phase = t->due = wheel_round_up(now + usec_jitter(spread, &p->seed));
        target_schedule(t, now);
}

void target_schedule(Target *t, usec_t now) {
        /* What is asked for does not wait for the next tick. */
        usec_t at = t->state != TARGET_IDLE ? t->deadline :
                    t->on_demand            ? MIN(now - now % WHEEL_TICK, t->due) :
                                              t->due;

        wheel_set(&t->probe->service->prober->wheel, &t->item, at);
}

void prober_arm(Prober *p) {
        usec_t at;

        /* Once at the end of a turn, however many results it had. */
        if (p->running || poller_is_serving(p->poller))
                return;
        at = place_next(p) ? 0 : wheel_next(&p->wheel);
        if (at == p->armed)
                return;
        p->armed = at;
        loop_timer_set(p->timer, at);
}

void target_count_late(Target *t) {
        t->detail.late++;
        t->probe->service->prober->counts.late++;
}

void target_leave_fast(Target *t) {
        if (t->fast)
                t->probe->service->prober->n_fast--;
        t->fast = false;
        ring_remove(&t->in_slow);
}

/* The next start, from the last one. A probe that began late and took its whole time ends after the
 * next start was due: were it made up for, that target would be late for ever. */
static void set_due(Target *t, usec_t now) {
        const ProbeConfig *config = t->probe->config;

        if (t->fast) {
                t->due = usec_add(t->slot, config->fast_interval);
                return;
        }
        t->due = target_next_on_grid(t, t->started);
        if (usec_sub(now, t->due) <= config->interval / 10)
                return;
        t->due = target_next_on_grid(t, now);
        target_count_late(t);
}

void prober_pass_fast(Prober *p) {
        size_t places = MAX(p->counts.targets / FAST_SHARE, (uint64_t)1);

        while (!ring_is_empty(&p->slow) && p->n_fast < places) {
                Target *t = RING_ITEM(p->slow.next, Target, in_slow);

                ring_remove(&t->in_slow);
                t->fast = true;
                p->n_fast++;
                if (t->state != TARGET_IDLE)
                        continue;
                set_due(t, loop_now(p->loop));
                target_schedule(t, loop_now(p->loop));
        }
}

void target_choose_pace(Target *t, bool deviates, usec_t now) {
        Prober *p = t->probe->service->prober;

        if (!deviates || t->probe->config->fast_interval == 0)
                target_leave_fast(t);
        else if (!t->fast && !ring_has(&t->in_slow))
                ring_append(&p->slow, &t->in_slow);
        set_due(t, now);
        target_schedule(t, now);
        prober_pass_fast(p);
}
