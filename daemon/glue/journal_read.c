#include "journal_read.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>

#include "loop.h"
#include "pattern.h"

#define ENTRIES_PER_LOOK 64 /* at the clock */
#define MESSAGE_MAX 16384   /* bytes of a message that are matched */
/* Of every message about a crash, which systemd-coredump writes in the unit's name. */
#define COREDUMP "fc2e22bc6ee647b6b90729ab34a250b1"

static void say(JournalAnswer *a, const char *what, int error) {
        StrBuf words;

        strbuf_init(&words, a->words, sizeof a->words);
        strbuf_add(&words, what);
        if (error == 0)
                return;
        strbuf_add(&words, " (");
        strbuf_add(&words, strerrorname_np(-error) ?: "an errno without a name");
        strbuf_add(&words, ")");
}

/* Files that may not be read are passed over without a word when a journal is opened. */
static bool is_forbidden(const char *directory) {
        char path[128], machine[SD_ID128_STRING_MAX];
        sd_id128_t id;

        if (sd_id128_get_machine(&id) < 0)
                return false;
        (void)snprintf(path, sizeof path, "%s/%s/system.journal", directory,
                       sd_id128_to_string(id, machine));
        return access(path, R_OK) < 0 && errno == EACCES;
}

static int open_journal(const JournalQuestion *q, sd_journal **ret, JournalAnswer *a) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r;

        if (q->directory)
                r = sd_journal_open_directory(&j, q->directory, 0);
        else
                r = sd_journal_open(&j, SD_JOURNAL_LOCAL_ONLY | SD_JOURNAL_SYSTEM);
        if (r < 0) {
                say(a, "the journal cannot be opened", r);
                return r;
        }
        if (!q->directory && sd_journal_has_persistent_files(j) <= 0 &&
            sd_journal_has_runtime_files(j) <= 0) {
                say(a,
                    is_forbidden("/var/log/journal") || is_forbidden("/run/log/journal") ?
                            "no right to read the journal; add SupplementaryGroups="
                            "systemd-journal to rollbackd.service" :
                            "this host keeps no journal; is systemd-journald running?",
                    0);
                return -EACCES;
        }
        *ret = TAKE_PTR(j);
        return 0;
}

/* The cursor of the entry at which the journal stands. */
static int take_cursor(sd_journal *j, JournalAnswer *a) {
        _cleanup_(freep) char *cursor = NULL;
        int r = sd_journal_get_cursor(j, &cursor);

        if (r < 0)
                return r;
        if (strlen(cursor) >= sizeof a->cursor)
                return -ENOSPC;
        memcpy(a->cursor, cursor, strlen(cursor) + 1);
        return 0;
}

/* Where the journal ends now, whoever wrote the last entry. */
static int take_end(sd_journal *j, JournalAnswer *a) {
        int r = sd_journal_seek_tail(j);

        a->at = loop_clock();
        if (r >= 0)
                r = sd_journal_previous(j);
        return r > 0 ? take_cursor(j, a) : r;
}

static int match_text(sd_journal *j, const char *field, const char *value) {
        char text[512];

        (void)snprintf(text, sizeof text, "%s=%s", field, value);
        return sd_journal_add_match(j, text, 0);
}

/* What the unit wrote, what systemd wrote about it, and its crashes, as journalctl -u has it. */
static int match_unit(sd_journal *j, const char *unit) {
        static const char *const fields[][3] = {
                { "_SYSTEMD_UNIT", NULL, NULL },
                { "UNIT", "_PID", "1" },
                { "COREDUMP_UNIT", "MESSAGE_ID", COREDUMP },
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(fields); i++) {
                if (i > 0)
                        r = sd_journal_add_disjunction(j);
                if (r >= 0)
                        r = match_text(j, fields[i][0], unit);
                if (r >= 0 && fields[i][1])
                        r = match_text(j, fields[i][1], fields[i][2]);
        }
        return r;
}

static int match(sd_journal *j, const JournalQuestion *q) {
        int r = match_unit(j, q->unit);

        if (r >= 0)
                r = sd_journal_add_conjunction(j);
        for (uint32_t i = 0; r >= 0 && i <= q->priority; i++)
                r = match_text(j, "PRIORITY", (const char[]){ (char)('0' + i), '\0' });
        return r;
}

/* 1: the entry counts, 0: it does not, or why nobody knows. */
static int counts(sd_journal *j, const Pattern *pattern) {
        static const char field[] = "MESSAGE=";
        const size_t n_field = sizeof field - 1;
        const void *data;
        size_t n;
        int r;

        if (!pattern)
                return 1;
        r = sd_journal_get_data(j, "MESSAGE", &data, &n);
        /* Without a message, or one that is damaged or packed in a way that we do not know. */
        if (r < 0 || n < n_field)
                return 0;
        return pattern_match(pattern, (const char *)data + n_field, n - n_field);
}

/* Goes to the first entry behind the cursor that matches. */
static int go_behind(sd_journal *j, const char *cursor) {
        int r = *cursor ? sd_journal_seek_cursor(j, cursor) : sd_journal_seek_head(j);

        if (r >= 0)
                r = sd_journal_next(j);
        /* The entry itself, unless it is gone. */
        if (r > 0 && *cursor && sd_journal_test_cursor(j, cursor) > 0)
                r = sd_journal_next(j);
        return r;
}

static int count_entries(sd_journal *j, const JournalQuestion *q, const Pattern *pattern,
                         JournalAnswer *a) {
        unsigned n = 0;
        int r, counted;

        for (r = go_behind(j, q->cursor); r > 0; r = sd_journal_next(j)) {
                if (n == JOURNAL_ENTRIES_MAX ||
                    (n % ENTRIES_PER_LOOK == 0 && loop_clock() > q->deadline)) {
                        a->cut = true;
                        return 0;
                }
                n++;
                counted = counts(j, pattern);
                if (counted < 0)
                        return counted;
                a->entries += (uint64_t)counted;
                /* It may have come after the end was looked up. */
                counted = take_cursor(j, a);
                if (counted < 0)
                        return counted;
        }
        return r;
}

static int read_entries(sd_journal *j, const JournalQuestion *q, JournalAnswer *a) {
        _cleanup_(pattern_freep) Pattern *pattern = NULL;
        char end[JOURNAL_CURSOR_SIZE];
        int r = 0;

        if (q->matches)
                r = pattern_new(&pattern, q->matches, NULL, NULL, 0);
        if (r >= 0)
                r = sd_journal_set_data_threshold(j, MESSAGE_MAX);
        if (r >= 0)
                r = match(j, q);
        memcpy(end, a->cursor, sizeof end);
        if (r >= 0)
                r = count_entries(j, q, pattern, a);
        if (a->cut)
                memcpy(a->cursor, end, sizeof end);
        return r;
}

void journal_read(const JournalQuestion *q, JournalAnswer *ret) {
        _cleanup_(sd_journal_closep) sd_journal *j = NULL;
        int r;

        *ret = (JournalAnswer){};
        if (open_journal(q, &j, ret) < 0)
                return;
        r = take_end(j, ret);
        if (r >= 0 && q->cursor)
                r = read_entries(j, q, ret);
        if (r == -E2BIG)
                say(ret, "the expression of `matches` is too costly for a message; simplify it", 0);
        else if (r < 0)
                say(ret, "the journal cannot be read", r);
}
