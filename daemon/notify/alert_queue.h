/* alert_queue.h: operator alerts on their way to the one webhook of rollbackd.conf: a bounded queue
 * in memory in which every notice has a schedule of its own, so that one that is not taken holds no
 * other up. Knows nothing of events. */
#pragma once

#include "channel.h"
#include "events.h"

#define ALERT_QUEUE_MAX 64
#define ALERT_QUEUE_CONCURRENT HTTP_CLIENT_SPARE

typedef struct AlertQueue AlertQueue;

/* `taken` is called after each notice that the receiver took. `webhook` NULL: everything that is
 * put is freed at once. */
int alert_queue_new(AlertQueue **ret, Loop *loop, HttpClient *client, const ChannelConfig *webhook,
                    const char *secrets, uint64_t seed, void (*taken)(void *userdata),
                    void *userdata) _must_check_;
AlertQueue *alert_queue_free(AlertQueue *q);
DEFINE_CLEANUP(AlertQueue *, alert_queue_free);
/* Takes a body over (NULL, for want of memory, counts as dropped). A full queue loses its least
 * severe notice, of these the oldest, or the new one when that is less severe still. */
void alert_queue_put(AlertQueue *q, Severity severity, char *body);
/* Notices that are being posted, or were not tried yet. */
size_t alert_queue_under_way(const AlertQueue *q);
size_t alert_queue_room(const AlertQueue *q);
/* Notices that did not fit or were given up. */
uint64_t alert_queue_dropped(const AlertQueue *q);
