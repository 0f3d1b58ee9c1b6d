/* operating.h: the one operation that a service can have in flight, moved by the table of
 * operation.h alone. Knows nothing of why it was proposed. */
#pragma once

#include "effect_queue.h"

/* Makes the text of a new version 4 UUID. */
void operation_make_id(Engine *e, char ret_id[static OPERATION_ID_SIZE]);
/* s->plan becomes the operation in flight, and its commit is asked for. */
void operation_propose(Engine *e, Service *s, usec_t now);
/* The shell has taken the commit. */
void operation_sent(Service *s);
/* The reason of an automatic operation that was not sent went away. */
void operation_clear(Service *s, usec_t now);
/* Compares with what the ledger says: adopts an operation that it shows open, closes one that it no
 * longer shows. */
void operation_reconcile(Engine *e, Service *s, usec_t now);
/* While a rule with a response above notify is bad on the version that is verified: whether a
 * declared dependency is to blame (bad, with its name), may be (unknown), or is not (good). */
Tri operation_blame(const Service *s, const char **ret_name);
/* After a standstill the time of a verification starts anew; that in which it is called unverified
 * goes on. */
void operation_verify_anew(Service *s, usec_t now);
/* Verifies. Returns the next instant at which to ask again. */
usec_t operating_step(Engine *e, Service *s, usec_t now);
/* A release became active before the commit was sent; what was sent waits for its answer. */
void operation_lose(Service *s, usec_t now);
