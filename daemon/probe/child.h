/* child.h: programs of others as children of the daemon: started without a shell, with a clean
 * environment and no descriptor, right or signal of ours; what they print is kept up to a limit;
 * each ends with its whole process group and is waited for. Knows nothing of what they print. */
#pragma once

#include "poller.h"

/* Kept of what a child writes to each of its two outputs; what exceeds is read and counted. */
#define CHILD_OUTPUT_MAX ((size_t)64 * 1024)
/* Children of one Children at once; the unit's TasksMax holds them beside our own threads. */
#define CHILDREN_MAX 128
/* That a child takes at most: both ends of its two outputs, and what tells its end. */
#define CHILD_DESCRIPTORS 5

typedef struct Children Children;
typedef struct Child Child;

typedef struct ChildOutput {
        const char *text; /* borrowed, not NUL-terminated */
        size_t n;
        uint64_t lost; /* bytes beyond CHILD_OUTPUT_MAX */
} ChildOutput;

typedef struct ChildEnd {
        int code;   /* its exit code; -1: ended by a signal, or not known */
        int signal; /* that ended it, or 0 */
        ChildOutput output, errors;
} ChildEnd;

typedef struct ChildSetup {
        char *const *command;     /* the program's absolute path first, NULL-terminated */
        char *const *environment; /* "NAME=value", NULL-terminated: the whole of it */
        /* Called once, from the loop, after the end of the child and of its group; the child is
         * gone when it returns. */
        void (*on_end)(void *userdata, const ChildEnd *end);
        void *userdata;
} ChildSetup;

int children_new(Children **ret, Poller *poller) _must_check_;
/* Ends those that still run, without a word. */
Children *children_free(Children *c);
DEFINE_CLEANUP(Children *, children_free);

/* Starts a program; the texts are borrowed for the call. Returns 0; -EBUSY when CHILDREN_MAX run;
 * or the negative errno of a call whose name is then in *reterr_call ("execve", "clone"). */
int child_start(Child **ret, Children *c, const ChildSetup *setup,
                const char **reterr_call) _must_check_;
/* Ends the child's whole group by SIGKILL, without a word to on_end(); it is waited for from the
 * loop. NULL: nothing. */
void child_cancel(Child *child);
