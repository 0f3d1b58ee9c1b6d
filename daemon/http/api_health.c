/* Whether the process lives, and whether it can do its work. */
#include "api_internal.h"

void api_get_livez(Api *a _unused_, const HttpCall *call _unused_, const char *argument _unused_,
                   HttpAnswer *ret) {
        api_answer_text(ret, 200, "ok\n");
}

static void add_line(StrBuf *b, bool good, const char *name, const char *words) {
        strbuf_add(b, good ? "[+]" : "[-]");
        strbuf_add(b, name);
        strbuf_add(b, good ? " ok" : " ");
        if (!good)
                strbuf_add(b, words);
        strbuf_add_char(b, '\n');
}

void api_get_readyz(Api *a, const HttpCall *call, const char *argument _unused_, HttpAnswer *ret) {
        ApiStatus status;
        STRBUF(b, 2048);

        a->owner.status(a->owner.userdata, &status);
        if (http_call_query(call, "verbose")) {
                add_line(&b, status.ledger_up, "ledger", status.ledger_words);
                add_line(&b, status.reload_ok, "policies",
                         "a policy file was refused; see rollbackctl check");
        }
        strbuf_add(&b, status.ready ? "ready: " : "not ready: ");
        strbuf_add(&b, status.words);
        strbuf_add_char(&b, '\n');
        api_answer_text(ret, status.ready ? 200 : 503, b.text);
}
