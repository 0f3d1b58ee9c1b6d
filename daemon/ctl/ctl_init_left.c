/* What db init cannot do itself: who may log in, what rollbackd.conf says, a policy's role. */
#include "ctl.h"

#define TEXT_MAX 1024
#define PORT_DEFAULT "5432"

/* The first line of pg_hba.conf that may be about rollbackd coming as we came, with TLS over TCP
 * when the server offers it. A line by host name or network of the host cannot be decided here. */
static const char rule_sql[] =
        "WITH here AS (SELECT pg_catalog.inet_client_addr() AS client, "
        "pg_catalog.inet_server_addr() AS server, "
        "pg_catalog.current_setting('ssl')::boolean AS tls), "
        "rule AS (SELECT r.line_number, r.auth_method, pg_catalog.concat_ws(' ', r.type, "
        "pg_catalog.array_to_string(r.database, ','), "
        "pg_catalog.array_to_string(r.user_name, ','), "
        "r.address, CASE WHEN r.address <> 'all' THEN r.netmask END, r.auth_method, "
        "pg_catalog.array_to_string(r.options, ' ')) AS words, "
        "CASE r.type WHEN 'local' THEN client IS NULL WHEN 'host' THEN client IS NOT NULL "
        "WHEN 'hostssl' THEN client IS NOT NULL AND tls "
        "WHEN 'hostnossl' THEN client IS NOT NULL AND NOT tls ELSE false END "
        "AND (r.database && ARRAY['all', $1::text] OR ('sameuser' = ANY (r.database) AND "
        "$1::text = 'rollbackd') OR EXISTS (SELECT FROM pg_catalog.unnest(r.database) AS d WHERE "
        "d IN ('samerole', 'samegroup') AND CASE WHEN pg_catalog.to_regrole("
        "pg_catalog.quote_ident($1::text)) IS NOT NULL THEN pg_catalog.pg_has_role('rollbackd', "
        "pg_catalog.to_regrole(pg_catalog.quote_ident($1::text)), 'MEMBER') END)) "
        "AND (r.user_name && ARRAY['all', 'rollbackd'] OR EXISTS (SELECT FROM "
        "pg_catalog.unnest(r.user_name) AS u WHERE u LIKE '+%' AND CASE WHEN "
        "pg_catalog.to_regrole(pg_catalog.quote_ident(pg_catalog.substr(u, 2))) IS NOT NULL THEN "
        "pg_catalog.pg_has_role('rollbackd', "
        "pg_catalog.to_regrole(pg_catalog.quote_ident(pg_catalog.substr(u, 2))), 'MEMBER') END)) "
        "AND CASE WHEN r.address IS NULL OR r.address = 'all' THEN true "
        "WHEN r.address = 'samehost' THEN client = server WHEN r.netmask IS NULL THEN NULL "
        "WHEN pg_catalog.family(r.address::inet) <> pg_catalog.family(client) THEN false "
        "ELSE (client & r.netmask::inet) = (r.address::inet & r.netmask::inet) END AS matches "
        "FROM pg_catalog.pg_hba_file_rules AS r, here WHERE r.error IS NULL) "
        "SELECT line_number, words, matches AND auth_method <> 'reject' FROM rule "
        "WHERE matches IS DISTINCT FROM false ORDER BY line_number LIMIT 1";

static const char here_sql[] =
        "SELECT pg_catalog.host(pg_catalog.inet_client_addr()) || '/' || "
        "pg_catalog.masklen(pg_catalog.inet_client_addr()), "
        "pg_catalog.current_setting('ssl'), pg_catalog.current_setting('hba_file')";

typedef struct Left {
        PgSync *s;
        const char *database;
        const char *before;  /* of each line */
        const char *address; /* the client's, for pg_hba.conf; NULL: a unix socket */
        const char *hba_file;
        bool tls;
} Left;

static void say(const Left *l, const char *text) {
        print_paragraph(l->before, text);
}

static bool is_plain(const char *text, const char *others) {
        static const char letters[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";

        while (*text != '\0' && (strchr(letters, *text) || strchr(others, *text)))
                text++;
        return *text == '\0';
}

/* A name of pg_hba.conf: in quotes it is never one of that file's words. */
static void add_hba_name(StrBuf *b, const char *name) {
        static const char *const words[] = { "all", "sameuser", "samerole", "samegroup",
                                             "replication" };
        bool quote = !is_plain(name, "");

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                quote = quote || streq(name, words[i]);
        if (quote)
                strbuf_add_char(b, '"');
        for (const char *c = name; *c != '\0'; c++) {
                if (*c == '"')
                        strbuf_add_char(b, '"');
                strbuf_add_char(b, *c);
        }
        if (quote)
                strbuf_add_char(b, '"');
}

static void add_hba_line(const Left *l, StrBuf *b) {
        strbuf_add(b, l->address ? "    hostssl " : "    local ");
        add_hba_name(b, l->database);
        strbuf_add(b, " rollbackd ");
        strbuf_add(b, l->address ?: "peer");
        if (l->address)
                strbuf_add(b, " scram-sha-256");
}

/* Whether an existing line does it is known to superusers only. */
static void say_hba(const Left *l) {
        const char *parameters[] = { l->database };
        _cleanup_(pg_result_freep) PgResult *rule = NULL;
        const char *words, *number;
        STRBUF(text, TEXT_MAX);
        PgFailure failure;

        rule = pg_sync_query(l->s, rule_sql, ELEMENTSOF(parameters), parameters, &failure);
        number = pg_cell(rule, 0, 0);
        words = pg_cell(rule, 0, 1);
        if (words && streq(pg_cell(rule, 0, 2) ?: "", "t")) {
                strbuf_add(&text, "- Line ");
                strbuf_add(&text, number);
                strbuf_add(&text, " of ");
                strbuf_add(&text, l->hba_file);
                strbuf_add(&text, " lets rollbackd in already: ");
                strbuf_add(&text, words);
                say(l, text.text);
                return;
        }
        strbuf_add(&text, "- Put this line into ");
        strbuf_add(&text, l->hba_file);
        if (words) {
                strbuf_add(&text, ", above line ");
                strbuf_add(&text, number);
                strbuf_add(&text, " (");
                strbuf_add(&text, words);
                strbuf_add_char(&text, ')');
        }
        strbuf_add(&text, ", then: SELECT pg_reload_conf();\n");
        add_hba_line(l, &text);
        if (l->address)
                strbuf_add(&text, "\n  where the address is that of the daemon's host.");
        say(l, text.text);
        if (l->address && !l->tls)
                say(l, "  This server offers no TLS yet (ssl is off): see ssl_cert_file and "
                       "ssl_key_file.");
}

/* Only superusers may see whether there is one. */
static bool has_password(const Left *l) {
        _cleanup_(pg_result_freep) PgResult *row = NULL;
        PgFailure failure;

        row = pg_sync_script(l->s,
                             "SELECT FROM pg_catalog.pg_authid WHERE rolname = 'rollbackd' AND "
                             "rolpassword IS NOT NULL",
                             &failure);
        return pg_rows(row) > 0;
}

static void say_password(const Left *l) {
        if (l->address && !has_password(l))
                say(l, "- Give the role a password, in psql by\n"
                       "    \\password rollbackd\n"
                       "  which sends only its hash, so that no log shows it; write the same one "
                       "into\n"
                       "  /etc/rollbackd/secrets/ledger (root:rollbackd, 0640).");
}

static void add_conninfo(StrBuf *b, const char *keyword, const char *value) {
        bool quote = value[0] == '\0' || !is_plain(value, "./:-");

        if (b->length > 0)
                strbuf_add_char(b, ' ');
        strbuf_add(b, keyword);
        strbuf_add(b, quote ? "='" : "=");
        for (const char *c = value; *c != '\0'; c++) {
                if (*c == '\'' || *c == '\\')
                        strbuf_add_char(b, '\\');
                strbuf_add_char(b, *c);
        }
        if (quote)
                strbuf_add_char(b, '\'');
}

/* Not what libpq of Debian does by itself. */
static bool is_odd_host(const char *host) {
        return host[0] != '\0' && !streq(host, "/var/run/postgresql");
}

static void say_configuration(const Left *l) {
        const char *host = pg_sync_host(l->s), *port = pg_sync_port(l->s);
        STRBUF(conninfo, TEXT_MAX);
        STRBUF(text, 3 * TEXT_MAX);

        if (is_odd_host(host))
                add_conninfo(&conninfo, "host", host);
        if (port[0] != '\0' && !streq(port, PORT_DEFAULT))
                add_conninfo(&conninfo, "port", port);
        add_conninfo(&conninfo, "dbname", l->database);
        if (l->address)
                strbuf_add(&conninfo, " sslmode=verify-full sslrootcert=/etc/rollbackd/ca.crt");
        strbuf_add(&text, "- Let the group ledger of /etc/rollbackd/rollbackd.conf say this, then: "
                          "systemctl restart rollbackd\n    ledger = { conninfo = \"");
        for (const char *c = conninfo.text; *c != '\0'; c++) {
                if (*c == '"' || *c == '\\')
                        strbuf_add_char(&text, '\\');
                strbuf_add_char(&text, *c);
        }
        strbuf_add(&text, l->address ? "\"; password_file = \"ledger\"; };" : "\"; };");
        say(l, text.text);
}

void init_print_left(PgSync *s, const char *database, const char *before) {
        _cleanup_(pg_result_freep) PgResult *here = NULL;
        PgFailure failure;
        Left l = { .s = s, .database = database, .before = before };

        here = pg_sync_script(s, here_sql, &failure);
        l.address = pg_cell(here, 0, 0);
        l.tls = streq(pg_cell(here, 0, 1) ?: "", "on");
        l.hba_file = pg_cell(here, 0, 2) ?: "pg_hba.conf";
        say(&l, "What is left to do for rollbackd to run on this ledger:");
        say_hba(&l);
        say_password(&l);
        say_configuration(&l);
        say(&l, "- For each role that a policy names:\n    GRANT users_rollback TO rollbackd;");
}
