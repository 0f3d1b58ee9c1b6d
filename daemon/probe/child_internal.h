/* child_internal.h: between the two files of child.h: child.c watches children from the loop,
 * child_start.c makes one. Nobody else includes it. */
#pragma once

#include "child.h"

#define CHILD_STACK_SIZE ((size_t)64 * 1024)

/* Makes the process: it shares our memory until it has become the program, so that a large daemon
 * starts one as fast as a small one. `stack` has CHILD_STACK_SIZE bytes and is free again
 * afterwards. Returns its pid, with its pidfd in *ret_pidfd, or as child_start(). */
pid_t child_spawn(const ChildSetup *setup, int output, int errors, void *stack, int *ret_pidfd,
                  const char **reterr_call) _must_check_;
