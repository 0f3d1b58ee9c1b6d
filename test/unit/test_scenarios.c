/* Stories in virtual time: each file of test/scenarios is one, and says at its head what it is
 * about. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "scenario_words.h"

static void need_start(void) {
        if (!world.started)
                world_start(&world);
}

static void run_to(const Line *l, usec_t end) {
        need_start();
        if (end < world.now)
                broken(l, "this instant has passed");
        while (world_advance(&world, end))
                ;
}

static double increase(const Line *l, const char *text) {
        return streq(text, "-") ? NAN : to_number(l, text);
}

static void feed_one(const Line *l, Stream *s, const char *what) {
        char text[64], *slash;
        snprintf(text, sizeof text, "%s", what);
        slash = strchr(text, '/');
        if (!s->on)
                s->next = world.now;
        s->on = true;
        s->outcome = OUTCOME_OK;
        if (streq(what, "off"))
                s->on = false;
        else if (slash) {
                *slash = '\0';
                s->bad = increase(l, text);
                s->total = increase(l, slash + 1);
        } else {
                int o = outcome_from_code(what);
                if (o < 0)
                        broken(l, "no such outcome");
                s->outcome = (ProbeOutcome)o;
        }
        if (find(l, "answers"))
                snprintf(s->version, NAME_SIZE, "%s",
                         streq(find(l, "answers"), "-") ? "" : find(l, "answers"));
}

/* address live.2 comes · address live.0 leaves */
static void do_address(const Line *l) {
        char name[64];
        snprintf(name, sizeof name, "%s", l->words[1]);
        char *dot = strchr(name, '.');
        if (!dot || (!has(l, "comes") && !has(l, "leaves")))
                broken(l, "PROBE.TARGET comes, or leaves");
        *dot = '\0';
        need_start();
        engine_set_target_present(world.engine, world.service, find_probe(l, name),
                                  (uint16_t)to_number(l, dot + 1), has(l, "comes"));
        world_step(&world);
}

/* feed red 3/100 · feed live.1 refused · feed red off */
static void do_feed(const Line *l) {
        char name[64];
        snprintf(name, sizeof name, "%s", l->words[1]);
        char *dot = strchr(name, '.');
        if (dot)
                *dot = '\0';
        uint16_t probe = find_probe(l, name);
        for (uint16_t t = 0; t < world.probes[probe].n_targets; t++)
                if (!dot || t == (uint16_t)to_number(l, dot + 1))
                        feed_one(l, &world.streams[probe][t], l->words[2]);
}

static void do_ledger(const Line *l) {
        world.ledger_up = has(l, "up");
        need_start();
        engine_set_ledger_reachable(world.engine, world.ledger_up, world.now);
        world_push_facts(&world);
        world_step(&world);
}

static void do_commit(const Line *l) {
        static const char *const modes[] = { "done",   "lost",     "refused",
                                             "failed", "in_doubt", "never" };
        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (has(l, modes[i]))
                        world.mode = (CommitMode)i;
        set_usec(l, "takes", &world.commit_takes);
}

static void do_steps(const Line *l) {
        set_usec(l, "take", &world.steps_take);
        if (has(l, "never"))
                world.steps_take = USEC_INFINITY;
        world.moves_lost = has(l, "unwritten");
        if (find(l, "fail"))
                world.steps_fail = (uint32_t)to_number(l, find(l, "fail"));
}

static void do_deploy(const Line *l) {
        world_move_pointer(&world, l->words[1], RELEASE_DEPLOY);
        world.facts.automatic = !has(l, "force");
        if (has(l, "silently"))
                return;
        world_push_facts(&world);
        world_step(&world);
}

static void do_request(const Line *l) {
        char id[OPERATION_ID_SIZE];
        STRBUF(why, 256);
        int kind = operation_kind_from_string(l->words[1]);
        uint64_t epoch = find(l, "epoch") ? (uint64_t)to_number(l, find(l, "epoch")) : 0;

        int r = engine_request(world.engine, world.service, (OperationKind)kind, find(l, "to"),
                               epoch, "alice", "asked", world.now, id, &why);
        const char *wanted = find(l, "answer") ? find(l, "answer") : "accepted";
        const char *got = r == 0          ? "accepted" :
                          r == -EBUSY     ? "busy" :
                          r == -ESTALE    ? "stale" :
                          r == -ENOENT    ? "no_target" :
                          r == -EHOSTDOWN ? "ledger_down" :
                          r == -ENODATA   ? "no_facts" :
                                            "other";
        if (!streq(wanted, got))
                broken(l, why.text);
        world_step(&world);
}

static void do_reload(const Line *l) {
        if (l->n > 2 && streq(l->words[1], "rule")) {
                Line shifted = *l;
                memmove(shifted.words, shifted.words + 1, (l->n - 1) * sizeof *shifted.words);
                shifted.n--;
                define_rule(&shifted);
        } else
                define_policy(l);
        if (!world.started)
                return;
        world_put_policy(&world);
        world_step(&world);
}

/* The host stood still: nothing was sampled meanwhile. */
static void do_jump(const Line *l) {
        usec_t by = 0;
        set_usec(l, "by", &by);
        world.now += by;
        for (size_t p = 0; p < WORLD_PROBES; p++)
                for (size_t t = 0; t < WORLD_TARGETS; t++)
                        world.streams[p][t].next = MAX(world.streams[p][t].next, world.now);
        engine_clear_evidence(world.engine, world.now);
        world_step(&world);
}

static void do_unregister(const Line *l) {
        (void)l;
        engine_set_facts(world.engine, world.service, NULL, world.now);
        world_step(&world);
}

static void snapshot(ServiceSnapshot *ret) {
        need_start();
        if (!engine_snapshot_service(world.engine, world.service, world.now, ret))
                fail();
}

static bool is_logged(const char *text) {
        for (size_t i = seen; i < world.log_n; i++)
                if (strstr(world.log[i % WORLD_LOG], text)) {
                        seen = i + 1;
                        return true;
                }
        return false;
}

static bool is_rule(const Line *l) {
        ServiceSnapshot s;
        snapshot(&s);
        for (size_t i = 0; i < s.n_rules; i++)
                if (streq(s.rules[i].policy->name, l->words[2]))
                        return streq(tri_to_string(s.rules[i].verdict.tri), l->words[3]) &&
                               (!find(l, "why") ||
                                streq(find(l, "why"), verdict_why_code(s.rules[i].verdict.why)));
        broken(l, "no such rule");
        return false;
}

static bool is_target(const Line *l) {
        TargetSnapshot t;
        char name[64];
        snprintf(name, sizeof name, "%s", l->words[2]);
        char *dot = strchr(name, '.');
        if (!dot)
                broken(l, "PROBE.TARGET");
        *dot = '\0';
        if (!engine_snapshot_target(world.engine, world.service, find_probe(l, name),
                                    (uint16_t)to_number(l, dot + 1), &t))
                return streq(l->words[3], "absent");
        if (streq(l->words[3], "straggler"))
                return t.straggler;
        return streq(tri_to_string(t.state), l->words[3]);
}

static bool holds(const Line *l) {
        ServiceSnapshot s;
        const char *what = l->words[1];

        if (streq(what, "effect"))
                return is_logged(l->words[2]);
        if (streq(what, "rule"))
                return is_rule(l);
        if (streq(what, "target"))
                return is_target(l);
        snapshot(&s);
        if (streq(what, "health"))
                return streq(health_to_string(s.health), l->words[2]);
        if (streq(what, "operation"))
                return streq(operation_state_to_string(s.operation_state), l->words[2]);
        if (streq(what, "guard"))
                return streq(s.holding < 0 ? "none" : guard_to_string(s.guards[s.holding].guard),
                             l->words[2]);
        if (streq(what, "commits"))
                return world.commits == (size_t)to_number(l, l->words[2]);
        if (streq(what, "active"))
                return streq(world.facts.version, l->words[2]);
        broken(l, "unknown expectation");
        return false;
}

/* expect WHAT ... [by T], where the condition may come true on the way; expect none TEXT until T.
 */
static void do_expect(Line *l) {
        need_start();
        if (streq(l->words[1], "none")) {
                usec_t end = to_instant(l, l->words[4]);
                seen = world.log_n;
                run_to(l, end);
                if (is_logged(l->words[2]))
                        broken(l, "this must not happen");
                return;
        }
        usec_t end = world.now;
        if (l->n >= 3 && streq(l->words[l->n - 2], "by")) {
                end = to_instant(l, l->words[l->n - 1]);
                l->n -= 2;
        }
        while (!holds(l))
                if (!world_advance(&world, end)) {
                        if (!holds(l))
                                broken(l, "expected, and did not happen");
                        return;
                }
}

static void do_line(Line *l) {
        const char *verb = l->words[0];
        static const struct {
                const char *verb;
                void (*run)(const Line *l);
        } verbs[] = {
                { "policy", define_policy },
                { "probe", define_probe },
                { "signal", define_signal },
                { "rule", define_rule },
                { "candidate", define_candidate },
                { "facts", set_facts },
                { "feed", do_feed },
                { "address", do_address },
                { "ledger", do_ledger },
                { "commit", do_commit },
                { "steps", do_steps },
                { "deploy", do_deploy },
                { "request", do_request },
                { "reload", do_reload },
                { "jump", do_jump },
                { "unregister", do_unregister },
        };
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
                if (streq(verbs[i].verb, verb)) {
                        verbs[i].run(l);
                        return;
                }
        if (streq(verb, "at"))
                run_to(l, to_instant(l, l->words[1]));
        else if (streq(verb, "expect"))
                do_expect(l);
        else if (streq(verb, "restart"))
                world_start(&world);
        else
                broken(l, "unknown word");
}

/* Words between blanks; "quoted text" is one word. */
static void split(Line *l, char *text) {
        for (char *p = text; l->n < WORDS_MAX;) {
                p += strspn(p, " \t\n");
                if (*p == '\0' || *p == '#')
                        return;
                bool quoted = *p == '"';
                p += quoted;
                l->words[l->n++] = p;
                p += strcspn(p, quoted ? "\"" : " \t\n");
                if (*p == '\0')
                        return;
                *p++ = '\0';
        }
}

static void run_lines(const char *path) {
        char text[512];
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        for (unsigned n = 1; fgets(text, sizeof text, f); n++) {
                Line l = { .file = path, .number = n };
                split(&l, text);
                if (l.n == 2 && streq(l.words[0], "include")) {
                        char other[300];
                        snprintf(other, sizeof other, "test/scenarios/%s", l.words[1]);
                        run_lines(other);
                } else if (l.n > 0)
                        do_line(&l);
        }
        fclose(f);
}

static void run_file(void **state) {
        world_init(&world);
        seen = 0;
        run_lines(*state);
        assert_true(world.started);
        engine_free(world.engine);
}

int main(void) {
        static char paths[128][300];
        struct CMUnitTest tests[128];
        size_t n = 0;
        struct dirent *d;
        DIR *dir = opendir("test/scenarios");

        if (!dir)
                return 1;
        while ((d = readdir(dir)) && n < ELEMENTSOF(tests)) {
                if (!strstr(d->d_name, ".scenario"))
                        continue;
                snprintf(paths[n], sizeof paths[n], "test/scenarios/%s", d->d_name);
                tests[n] = (struct CMUnitTest){ paths[n], run_file, NULL, NULL, paths[n] };
                n++;
        }
        closedir(dir);
        if (n == 0)
                return 1;
        return _cmocka_run_group_tests("scenarios", tests, n, NULL, NULL);
}
