#include "status_line.h"

/* One ledger's or file's words leave room for everything else. */
#define LEDGER_WORDS_MAX 180
#define REFUSED_WORDS_MAX 140

/* Ends a text that did not fit at its last whole word, or else at its last whole character. */
static void end_at_word(StrBuf *b) {
        static const char dots[] = "...";
        size_t n = b->length, most = b->size - sizeof dots;

        if (!b->overflow || b->size < sizeof dots)
                return;
        n = MIN(n, most);
        while (n > 0 && ((unsigned char)b->text[n] & 0xC0) == 0x80)
                n--;
        for (size_t i = n; i > most / 2; i--)
                if (b->text[i] == ' ') {
                        n = i;
                        break;
                }
        while (n > 0 && strchr(" ,;:", b->text[n - 1]))
                n--;
        memcpy(b->text + n, dots, sizeof dots);
        b->length = n + sizeof dots - 1;
}

static void begin_part(StrBuf *b) {
        if (b->length > 0)
                strbuf_add(b, "; ");
}

/* Text from outside: a line break in it would be read as another message to the service manager. */
static void add_outside(StrBuf *b, const char *text, size_t n, size_t most) {
        char storage[LEDGER_WORDS_MAX + 1];
        StrBuf part;

        strbuf_init(&part, storage, MIN(sizeof storage, most + 1));
        strbuf_add_escaped(&part, text, n);
        end_at_word(&part);
        strbuf_add(b, part.text);
}

static void add_more(StrBuf *b, size_t n) {
        if (n <= 1)
                return;
        strbuf_add(b, ", and ");
        strbuf_add_u64(b, n - 1);
        strbuf_add(b, " more");
}

static void add_operations(const StatusFacts *f, StrBuf *b) {
        if (f->n_operations == 0)
                return;
        begin_part(b);
        strbuf_add(b, f->operation_service);
        strbuf_add(b, ": ");
        strbuf_add(b, f->from_version);
        strbuf_add(b, " -> ");
        strbuf_add(b, f->to_version);
        strbuf_add_char(b, ' ');
        strbuf_add(b, f->operation_state == OPERATION_IN_DOUBT ?
                              "in doubt" :
                              operation_state_to_string(f->operation_state));
        if (f->awaited) {
                strbuf_add(b, " (awaits its dependency ");
                strbuf_add(b, f->awaited);
                strbuf_add_char(b, ')');
        }
        add_more(b, f->n_operations);
}

static void add_bad(const StatusFacts *f, StrBuf *b) {
        if (f->n_held > 0) {
                begin_part(b);
                strbuf_add(b, f->held_service);
                strbuf_add(b, " is bad, held by ");
                strbuf_add(b, guard_to_string(f->held_by));
                add_more(b, f->n_held);
        }
        if (f->n_bad > 0) {
                begin_part(b);
                strbuf_add(b, f->bad_service);
                strbuf_add(b, " is bad");
                add_more(b, f->n_bad);
        }
}

/* What is wrong with the ledger, or, with `well`, that nothing is. */
static void add_ledger(const StatusFacts *f, bool well, StrBuf *b) {
        bool advice = f->ledger == STATUS_LEDGER_UP && f->ledger_words[0] != '\0';

        if (well != (f->ledger == STATUS_LEDGER_UP && !advice))
                return;
        begin_part(b);
        switch (f->ledger) {
        case STATUS_LEDGER_NONE:
                strbuf_add(b, "no ledger: set ledger.conninfo in ");
                add_outside(b, f->config_path, strlen(f->config_path), REFUSED_WORDS_MAX);
                strbuf_add(b, ", nothing is recorded and nothing rolled back");
                break;
        case STATUS_LEDGER_CONNECTING:
                strbuf_add(b, "connecting to the ledger");
                break;
        case STATUS_LEDGER_UP:
                strbuf_add(b, advice ? "ledger: " : "ledger reachable");
                break;
        case STATUS_LEDGER_DOWN:
                strbuf_add(b, "ledger unreachable: ");
                break;
        case STATUS_LEDGER_UNUSABLE:
                strbuf_add(b, "ledger unusable: ");
                break;
        }
        if (advice || f->ledger == STATUS_LEDGER_DOWN || f->ledger == STATUS_LEDGER_UNUSABLE)
                add_outside(b, f->ledger_words, strlen(f->ledger_words), LEDGER_WORDS_MAX);
}

static void add_policies(const StatusFacts *f, StrBuf *b) {
        if (f->n_refused > 0) {
                begin_part(b);
                strbuf_add(b, "refused: ");
                add_outside(b, f->refused, strcspn(f->refused, "\n"), REFUSED_WORDS_MAX);
                if (f->n_refused > 1) {
                        add_more(b, f->n_refused);
                        strbuf_add(b, f->n_refused == 2 ? " file" : " files");
                }
        } else if (f->services == 0) {
                begin_part(b);
                strbuf_add(b, "no policy: put one into ");
                add_outside(b, f->policies, strlen(f->policies), REFUSED_WORDS_MAX);
                strbuf_add(b, " (see rollbackd-policy(5)), then systemctl reload rollbackd");
        }
}

static void add_counts(const StatusFacts *f, StrBuf *b) {
        if (f->services == 0)
                return;
        begin_part(b);
        strbuf_add_u64(b, f->services);
        strbuf_add(b, f->services == 1 ? " service" : " services");
        for (int h = 0; h < _HEALTH_MAX; h++)
                if (f->health[h] > 0) {
                        strbuf_add(b, ", ");
                        strbuf_add_u64(b, f->health[h]);
                        strbuf_add_char(b, ' ');
                        strbuf_add(b, health_to_string((Health)h));
                }
}

void status_line_format(const StatusFacts *f, StrBuf *b) {
        if (f->stopping) {
                strbuf_add(b, "stopping: ");
                add_outside(b, f->stopping, strlen(f->stopping), LEDGER_WORDS_MAX);
                add_ledger(f, false, b);
                end_at_word(b);
                return;
        }
        add_operations(f, b);
        add_bad(f, b);
        add_ledger(f, false, b);
        add_policies(f, b);
        add_counts(f, b);
        add_ledger(f, true, b);
        end_at_word(b);
}
