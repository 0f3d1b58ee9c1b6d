/* rollbackctl's verbs, options and exit codes, from the tables that it runs by. */
#include <ctype.h>
#include <errno.h>

#include "manual.h"

#define FEW_VERBS 6 /* an option of more verbs than these is told without their names */

static bool is_general(Option o) {
        return o == OPTION_CONFIG || o == OPTION_CONNINFO || o == OPTION_SOCKET ||
               o == OPTION_JSON || o == OPTION_TIMEOUT;
}

static void write_lower(const char *text, size_t n) {
        for (size_t i = 0; i < n; i++)
                putchar(tolower((unsigned char)text[i]));
}

/* "SERVICE [POLICY...] SERVICE|ID" in mdoc. */
static void write_arguments(const char *p) {
        while (*p != '\0') {
                size_t word = strcspn(p, " "), n = word;
                bool optional = p[0] == '[';
                const char *text = p + optional;
                const char *dots = memmem(p, word, "...", 3);

                n -= optional ? 2 : 0;
                n -= dots ? 3 : 0;
                fputs(optional ? " Oo" : "", stdout);
                if (n == 2 && strncmp(text, "--", 2) == 0)
                        fputs(" Fl -", stdout);
                else {
                        fputs(" Ar ", stdout);
                        for (size_t at = 0; at < n;) {
                                size_t part = 0;

                                while (at + part < n && text[at + part] != '|')
                                        part++;
                                write_lower(text + at, part);
                                at += part;
                                if (at < n) {
                                        fputs(" | ", stdout);
                                        at++;
                                }
                        }
                }
                fputs(dots ? " ..." : "", stdout);
                fputs(optional ? " Oc" : "", stdout);
                p += word + strspn(p + word, " ");
        }
}

static void write_verb(const Verb *verb) {
        printf(".It Cm %s", verb->name);
        write_arguments(verb->arguments);
        for (int o = 0; o < _OPTION_MAX; o++)
                if (verb_takes(verb, (Option)o) && !is_general((Option)o)) {
                        printf(" Oo Fl -%s", option_name((Option)o));
                        if (option_value((Option)o))
                                printf(" Ar %s", option_value((Option)o));
                        fputs(" Oc", stdout);
                }
        puts("");
        manual_sentence(verb->help);
}

int manual_verb(const char *name) {
        for (size_t i = 0; i < verbs_n; i++)
                if (streq(verbs[i].name, name)) {
                        write_verb(&verbs[i]);
                        return 0;
                }
        fprintf(stderr, "manual: rollbackctl has no verb %s: remove its paragraph from the page\n",
                name);
        return -EINVAL;
}

int manual_verbs(const char *page) {
        for (size_t i = 0; i < verbs_n; i++) {
                STRBUF(line, 128);

                strbuf_add(&line, ".\\\" @verb ");
                strbuf_add(&line, verbs[i].name);
                strbuf_add_char(&line, '\n');
                if (!strstr(page, line.text))
                        write_verb(&verbs[i]);
        }
        return 0;
}

int manual_options(void) {
        for (int o = 0; o < _OPTION_MAX; o++) {
                size_t n = 0;

                for (size_t i = 0; i < verbs_n; i++)
                        n += verb_takes(&verbs[i], (Option)o);
                if (n == 0)
                        continue;
                printf(".It Fl -%s", option_name((Option)o));
                if (option_value((Option)o))
                        printf(" Ar %s", option_value((Option)o));
                puts("");
                manual_sentence(option_help((Option)o));
                if (n > FEW_VERBS || is_general((Option)o))
                        continue;
                fputs("Taken by\n.Cm", stdout);
                for (size_t i = 0, said = 0; i < verbs_n; i++)
                        if (verb_takes(&verbs[i], (Option)o))
                                printf("%s %s", said++ > 0 ? " ," : "", verbs[i].name);
                puts(" .");
        }
        return 0;
}

int manual_exits(void) {
        for (int code = 0; code < _EXIT_CODE_MAX; code++) {
                printf(".It %d Pq %s\n", code, exit_code_words((ExitCode)code));
                manual_sentence(exit_code_help((ExitCode)code));
        }
        return 0;
}
