/* follow.h: the parts of `rollbackctl follow`: who watches the pointer, the file that says the
 * version, the command that is run for it. None knows of the others, nor when to act or to try
 * again: that is ctl_follow.c's. */
#pragma once

#include "ctl.h"
#include "loop.h"

/* One line to stderr with the service's name before it. */
void follow_say(const char *service, const char *format, ...) _printf_(2, 3);

/* follow_pointer.c: the pointer in the ledger, read after each connect, at each notice of it, and
 * every ten seconds. Says itself when the ledger goes and comes, once each. */
typedef struct PointerWatch PointerWatch;

typedef struct PointerOwner {
        /* After every good read. The version is a name of at most NAME_SIZE - 1 bytes, borrowed. */
        void (*on_pointer)(void *userdata, const char *version, uint64_t epoch);
        /* The ledger is away; told once, until the next good read. */
        void (*on_away)(void *userdata);
        /* Before the first good read: a person must mend something first; the reason is printed. */
        void (*on_refused)(void *userdata, ExitCode code);
        void *userdata;
} PointerOwner;

/* Starts connecting, and reconnects for ever. The service's name is borrowed, the rest copied.
 * Returns 0 or a negative errno (-EINVAL: the conninfo cannot be parsed). */
int pointer_watch_new(PointerWatch **ret, Loop *loop, const char *service, const char *conninfo,
                      const char *password, uint64_t seed, const PointerOwner *owner) _must_check_;
PointerWatch *pointer_watch_free(PointerWatch *w);
DEFINE_CLEANUP(PointerWatch *, pointer_watch_free);

/* follow_file.c: puts "VERSION\n" into place in one step: a reader sees the old text or the new
 * one, also after a power cut. `mode` is that of a new file. Returns 1 written, 0 it said so
 * already, or a negative errno, and then what was there is untouched. */
int follow_file_write(const char *path, const char *version, mode_t mode) _must_check_;

/* follow_command.c: one command, one run at a time. */
typedef struct FollowCommand FollowCommand;

typedef struct FollowRelease {
        const char *service, *version;
        const char *previous; /* version of the last run that succeeded, "" before the first */
        uint64_t epoch;
} FollowRelease;

/* `failure`: NULL when the run succeeded, else how it ended ("exit code 3"), borrowed. */
typedef void (*FollowCommandDone)(void *userdata, const char *failure);

/* argv is NULL-terminated and borrowed. A run that takes longer than `timeout` has failed, and its
 * process group gets SIGTERM, five seconds later SIGKILL. */
int follow_command_new(FollowCommand **ret, Loop *loop, const char *const argv[], usec_t timeout,
                       FollowCommandDone done, void *userdata) _must_check_;
/* Runs it: no shell, a process group of its own, stdin from /dev/null, no other descriptor but
 * stdout and stderr, the release in its environment. Returns 0 and calls done() later, or a
 * negative errno. */
int follow_command_start(FollowCommand *c, const FollowRelease *release) _must_check_;
bool follow_command_is_running(const FollowCommand *c);
/* Kills the group of a run that is under way; done() is not called. */
FollowCommand *follow_command_free(FollowCommand *c);
DEFINE_CLEANUP(FollowCommand *, follow_command_free);
