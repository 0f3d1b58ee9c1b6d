/* manual.c: a page's source to the standard output, with every line `.\" @word argument` replaced.
 *   manual PAGE.in MIGRATIONS    the page
 *   manual --sections            the names of the schema's sections, one per line
 *   manual --verbs               those of rollbackctl's verbs */
#include "manual.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "events.h"
#include "outcome.h"

#define PAGE_MAX (256 * 1024)
#define MARK ".\\\" @"

static char page[PAGE_MAX];

/* mdoc wants each sentence on a line of its own. */
static bool ends_sentence(const char *text, size_t i) {
        return text[i] == '.' && i > 0 && text[i - 1] != ' ' && text[i + 1] == ' ' &&
               text[i + 2] != '.' && text[i + 2] != '\'';
}

void manual_text(const char *text) {
        bool open = false;

        if (text[0] == '.' || text[0] == '\'')
                fputs("\\&", stdout);
        for (size_t i = 0; text[i] != '\0'; i++)
                if (text[i] == '\\')
                        fputs("\\e", stdout);
                else if (text[i] == '~')
                        fputs("\\(ti", stdout);
                else if (text[i] == '^')
                        fputs("\\(ha", stdout);
                else if (text[i] == '`') {
                        open = !open;
                        fputs(open ? "\\(oq" : "\\(cq", stdout);
                } else if (ends_sentence(text, i)) {
                        puts(".");
                        i++;
                } else
                        putchar(text[i]);
}

void manual_sentence(const char *text) {
        size_t n = strlen(text), word = strcspn(text, " ,;");
        bool ended = n > 0 && text[n - 1] == '.';

        if (n == 0)
                return;
        /* A word that is to be typed stays as it is typed. */
        for (size_t i = 0; i < word; i++)
                if (!isalpha((unsigned char)text[i]) && text[i] != '\'')
                        word = 0;
        if (word > 0)
                putchar(toupper((unsigned char)*text++));
        manual_text(text);
        puts(ended ? "" : ".");
}

/* Each kind of event: its sentence, and what to type then. */
static int write_events(void) {
        for (size_t i = 0; i < _EVENT_KIND_MAX; i++) {
                const EventRow *row = event_row((EventKind)i);

                printf(".It Cm %s\n", row->type);
                printf("%s%s.\n", severity_to_string(row->severity),
                       row->lasting ? ", lasting" : "");
                manual_text(row->text);
                puts("");
                if (row->type_now) {
                        puts(".br\nType:");
                        manual_text(row->type_now);
                        puts("");
                }
                printf(".br\nMESSAGE_ID=%s\n", row->message_id);
        }
        return 0;
}

/* What a sample can be, from the table that judges it. */
static void write_outcomes(void) {
        for (size_t i = 0; i < _OUTCOME_MAX; i++) {
                ProbeOutcome o = (ProbeOutcome)i;

                printf(".It Cm %s\n%s:", outcome_code(o), tri_to_string(outcome_verdict(o)));
                printf("\n%s.\n", outcome_words(o));
        }
}

/* Which sections this page asks for. */
static void find_sections(bool ret[static _SECTION_MAX]) {
        for (int s = 0; s < _SECTION_MAX; s++) {
                STRBUF(line, 128);

                strbuf_add(&line, MARK "keys ");
                strbuf_add(&line, manual_section_name((ConfigSection)s));
                strbuf_add_char(&line, '\n');
                ret[s] = strstr(page, line.text) != NULL;
        }
}

static int replace(const char *word, const char *argument) {
        bool sections[_SECTION_MAX];

        if (streq(word, "keys"))
                return manual_keys(argument);
        if (streq(word, "values")) {
                find_sections(sections);
                return manual_values(sections);
        }
        if (streq(word, "verb"))
                return manual_verb(argument);
        if (streq(word, "verbs"))
                return manual_verbs(page);
        if (streq(word, "options"))
                return manual_options();
        if (streq(word, "exits"))
                return manual_exits();
        if (streq(word, "events"))
                return write_events();
        if (streq(word, "outcomes")) {
                write_outcomes();
                return 0;
        }
        if (streq(word, "functions"))
                return manual_functions(argument);
        if (streq(word, "views"))
                return manual_views();
        fprintf(stderr, "manual: @%s is no word of the generator\n", word);
        return -EINVAL;
}

static int read_page(const char *path) {
        FILE *f = fopen(path, "r");
        size_t n;

        if (!f) {
                fprintf(stderr, "manual: %s: %s\n", path, strerrordesc_np(errno));
                return -EINVAL;
        }
        n = fread(page, 1, sizeof page, f);
        fclose(f);
        if (n == sizeof page) {
                fprintf(stderr, "manual: %s is longer than 256 KiB\n", path);
                return -EINVAL;
        }
        page[n] = '\0';
        return 0;
}

/* The source stays whole: a directive asks what else is in it. */
static int write_page(void) {
        const char *line = page;

        for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
                size_t n = (size_t)(end - line), mark = strlen(MARK);
                char word[128];
                char *blank;

                if (strncmp(line, MARK, mark) != 0) {
                        printf("%.*s\n", (int)n, line);
                        continue;
                }
                if (n - mark >= sizeof word)
                        return -EINVAL;
                memcpy(word, line + mark, n - mark);
                word[n - mark] = '\0';
                blank = strchr(word, ' ');
                if (blank)
                        *blank = '\0';
                if (replace(word, blank ? blank + 1 : "") < 0)
                        return -EINVAL;
        }
        return 0;
}

int main(int argc, char *argv[]) {
        if (argc == 2 && streq(argv[1], "--sections")) {
                for (int s = 0; s < _SECTION_MAX; s++)
                        puts(manual_section_name((ConfigSection)s));
                return EXIT_SUCCESS;
        }
        if (argc == 2 && streq(argv[1], "--verbs")) {
                for (size_t i = 0; i < verbs_n; i++)
                        puts(verbs[i].name);
                return EXIT_SUCCESS;
        }
        if (argc != 3) {
                fputs("usage: manual PAGE.in MIGRATIONS | manual --sections | manual --verbs\n",
                      stderr);
                return EXIT_FAILURE;
        }
        if (read_page(argv[1]) < 0 || manual_ledger_read(argv[2]) < 0 || write_page() < 0) {
                fprintf(stderr, "manual: %s was not made\n", argv[1]);
                return EXIT_FAILURE;
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
