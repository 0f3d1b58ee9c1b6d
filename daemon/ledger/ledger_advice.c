#include "ledger_advice.h"

#define MAKE "runuser -u postgres -- rollbackctl db init --database {database}"

typedef struct Advice {
        const char *sqlstate; /* a beginning; "" only with words */
        const char *routine;  /* NULL: any */
        const char *words; /* part of libpq's own message, when no server has answered; or NULL */
        bool person;       /* it does not pass by itself */
        const char *what, *todo;
} Advice;

/* First match wins. {user}, {identifier}, {database}, {conninfo}, {secret} and {reload} are filled
 * in; {password} is the way to give one, {role} to make one, and {peer} to be believed. */
static const Advice table[] = {
        { "28P01", NULL, NULL, true, "password authentication failed for {user}", "{password}" },
        { "28000", "ClientAuthentication", NULL, true,
          "no line of the server's pg_hba.conf lets {user} into {database}",
          "add the one that " MAKE " prints" },
        { "28000", "InitializeSessionUserId", NULL, true,
          "the role {user} does not exist or may not log in", "{role}" },
        { "28", NULL, NULL, true, "the server does not believe that this is {user}",
          "see its log; with peer in pg_hba.conf {peer}" },
        { "3D000", NULL, NULL, true, "the database {database} does not exist",
          "run: " MAKE ", or correct {conninfo}" },
        { "3F000", NULL, NULL, true, "the database {database} has no schema rollbackd",
          "run: " MAKE },
        { "42P01", NULL, NULL, true, "the database {database} has no schema rollbackd",
          "run: " MAKE },
        { "42883", NULL, NULL, true, "the ledger in {database} lacks a function", "run: " MAKE },
        { "42501", "CheckMyDatabase", NULL, true, "the role {user} may not connect to {database}",
          "run: " MAKE },
        { "42501", NULL, NULL, true, "the role {user} may not use the schema rollbackd",
          "as its owner type: GRANT USAGE ON SCHEMA rollbackd TO {identifier}" },
        { "53300", NULL, NULL, false, "the server has no connection left for {user}",
          "see pg_stat_activity for who holds them; raise max_connections, or the limit of the "
          "role "
          "or database" },
        { "53", NULL, NULL, false, "the server lacks memory, disk or another resource",
          "see its log" },
        { "57P03", NULL, NULL, false, "the server is starting, stopping or recovering",
          "wait, or see its log; rollbackd goes on trying" },
        { "25006", NULL, NULL, true, "the server is a standby, or {database} is read-only",
          "let {conninfo} name the primary, or every host and "
          "target_session_attrs=read-write" },
        { "", NULL, "no password supplied", true, "the server asks {user} for a password",
          "{password}; a passfile that group or others may read is ignored" },
        { "", NULL, "does not support SSL", true,
          "the server offers no TLS, which {conninfo} asks for",
          "set ssl = on and a certificate there" },
        { "", NULL, "does not match host name", true,
          "the server's certificate is for another name",
          "let host= of {conninfo} be the name in it, or give the server one for this name" },
        { "", NULL, "certificate verify failed", true,
          "the server's certificate is not from the CA that this side trusts",
          "put the CA's certificate into the file that sslrootcert of {conninfo} names" },
        { "", NULL, "root certificate file", true, "the CA's certificate cannot be read",
          "let sslrootcert of {conninfo} name a file that the user rollbackd may read" },
        { "", NULL, "certificate", true, "TLS cannot be set up",
          "see the certificates that {conninfo} names, and the server's log" },
        { "", NULL, "definition of service", true,
          "the service that {conninfo} names is not defined",
          "write it into pg_service.conf (/etc/postgresql-common, or $PGSERVICEFILE)" },
        { "", NULL, "service file", true, "the service file cannot be read",
          "see $PGSERVICEFILE and /etc/postgresql-common/pg_service.conf" },
        { "", NULL, "session is read-only", true, "every server is a standby, or read-only",
          "let {conninfo} name the primary too" },
        { "", NULL, "server is in hot standby mode", true,
          "every server is a standby, or read-only", "let {conninfo} name the primary too" },
        { "", NULL, "could not translate host name", false,
          "the name of the server cannot be resolved",
          "see host= of {conninfo}, and the resolver" },
        { "", NULL, "Connection refused", false, "connection refused at the ledger's address",
          "is PostgreSQL running? systemctl status postgresql; see {conninfo}" },
        { "", NULL, "No such file or directory", false, "nothing listens at the ledger's socket",
          "is PostgreSQL running? systemctl status postgresql; see {conninfo}" },
        { "", NULL, "timeout expired", false, "the server does not answer",
          "see the network, and {conninfo}" },
};

static bool matches(const Advice *a, const PgFailure *f) {
        /* PG_CONFIGURATION without a code is our own, and says by itself what to do. */
        if (a->sqlstate[0] == '\0')
                return f->sqlstate[0] == '\0' && f->error != PG_CONFIGURATION &&
                       strstr(f->message, a->words);
        return strncmp(f->sqlstate, a->sqlstate, strlen(a->sqlstate)) == 0 &&
               (!a->routine || streq(a->routine, f->routine));
}

static const Advice *find(const PgFailure *f) {
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (matches(&table[i], f))
                        return &table[i];
        return NULL;
}

/* In the words of a shell, quoted where it would read something else. */
static void add_shell_word(StrBuf *b, const char *word) {
        static const char plain[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";

        if (strspn(word, plain) == strlen(word)) {
                strbuf_add(b, word[0] != '\0' ? word : "NAME");
                return;
        }
        strbuf_add_char(b, '\'');
        for (; *word != '\0'; word++)
                if (*word == '\'')
                        strbuf_add(b, "'\\''");
                else
                        strbuf_add_char(b, *word);
        strbuf_add_char(b, '\'');
}

static void add_sentence(StrBuf *b, const char *sentence, const PgFailure *f,
                         const LedgerPlace *place);

static void add_value(StrBuf *b, const char *name, size_t n, const PgFailure *f,
                      const LedgerPlace *place) {
        static const char known[] = "put the right password into {secret}, then: {reload}";
        static const char unknown[] = "let ledger.password_file name the secret "
                                      "that holds it";
        static const char own[] = "write it into ~/.pgpass, mode 0600";
        static const char make[] = "run: " MAKE;
        static const char person[] = "for a person run: " MAKE
                                     " --operator {user}; for a pipeline, in psql: "
                                     "CREATE ROLE {identifier} LOGIN IN ROLE "
                                     "rollbackd_deployer";
        static const char daemon_peer[] = "the daemon's system user must have that name";
        static const char own_peer[] = "the system user must have that name: runuser -u {user} -- "
                                       "rollbackctl ..., or name your own role by --conninfo";
        bool ours = place->configured || strncmp(f->user, "rollbackd", strlen("rollbackd")) == 0;

        if (strncmp(name, "user", n) == 0)
                strbuf_add(b, f->user[0] != '\0' ? f->user : "the daemon's role");
        else if (strncmp(name, "identifier", n) == 0)
                pg_add_identifier(f->user[0] != '\0' ? f->user : "rollbackd", b);
        else if (strncmp(name, "database", n) == 0)
                add_shell_word(b, f->database);
        else if (strncmp(name, "secret", n) == 0)
                strbuf_add(b, place->secret);
        else if (strncmp(name, "reload", n) == 0)
                strbuf_add(b, place->reload);
        else if (strncmp(name, "conninfo", n) == 0)
                strbuf_add(b, place->configured ? "ledger.conninfo" : "the conninfo");
        else if (strncmp(name, "role", n) == 0)
                add_sentence(b, ours ? make : person, f, place);
        else if (strncmp(name, "peer", n) == 0)
                add_sentence(b, place->configured ? daemon_peer : own_peer, f, place);
        else
                add_sentence(b,
                             place->secret     ? known :
                             place->configured ? unknown :
                                                 own,
                             f, place);
}

static void add_sentence(StrBuf *b, const char *sentence, const PgFailure *f,
                         const LedgerPlace *place) {
        while (*sentence != '\0') {
                size_t n = strcspn(sentence, "{");

                strbuf_add_n(b, sentence, n);
                sentence += n;
                if (*sentence == '\0')
                        break;
                n = strcspn(++sentence, "}");
                add_value(b, sentence, n, f, place);
                sentence += n + 1;
        }
}

bool ledger_needs_a_person(const PgFailure *failure) {
        const Advice *a = find(failure);

        return a ? a->person : failure->error == PG_CONFIGURATION;
}

void ledger_add_advice(StrBuf *b, const PgFailure *failure, const LedgerPlace *place) {
        const Advice *a = find(failure);

        if (!a) {
                strbuf_add(b, failure->message);
                return;
        }
        add_sentence(b, a->what, failure, place);
        strbuf_add(b, ": ");
        add_sentence(b, a->todo, failure, place);
        strbuf_add(b, " (");
        strbuf_add(b, failure->message);
        strbuf_add_char(b, ')');
}
