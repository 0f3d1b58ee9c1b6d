/* probe_tcp.c: good once the connection stands; nothing is sent or read. */
#include <errno.h>

#include "connection.h"
#include "probe_kind.h"

typedef struct TcpRun {
        PollItem item; /* first, so that an item is its run */
        Poller *poller;
        int fd;
        ProbeTrace *trace;
        void (*done)(void *userdata, const ProbeResult *result);
        void *userdata;
} TcpRun;

static TcpRun *tcp_run_free(TcpRun *run) {
        if (!run)
                return NULL;
        poller_remove(run->poller, &run->item);
        /* A reset would be in the log of whoever accepts. */
        if (run->fd >= 0)
                connection_close(run->fd, false);
        free(run);
        return NULL;
}
DEFINE_CLEANUP(TcpRun *, tcp_run_free);

static void on_ready(PollItem *item, uint32_t events _unused_) {
        TcpRun *run = (TcpRun *)item;
        ProbeResult result = { .outcome = OUTCOME_OK };
        int r = connection_result(run->fd);

        if (r == -EAGAIN)
                return;
        if (r < 0)
                probe_result_set_errno(&result, r);
        else
                probe_trace_mark(run->trace, MOMENT_CONNECTED);

        void (*done)(void *, const ProbeResult *) = run->done;
        void *owner = run->userdata;
        tcp_run_free(run);
        done(owner, &result);
}

static int tcp_start(const ProbeStart *start, ProbeResult *ret, void **ret_run) {
        _cleanup_(tcp_run_freep) TcpRun *run = calloc(1, sizeof *run);
        int r;

        if (!run) {
                probe_result_set_errno(ret, ENOMEM);
                return 0;
        }
        run->item.fd = -1;
        run->poller = start->tools->poller;
        run->trace = start->trace;
        run->done = start->done;
        run->userdata = start->userdata;
        r = run->fd = connection_start(start->address, 0);
        if (r >= 0)
                r = connection_result(run->fd);
        if (r == -EAGAIN)
                r = poller_add(run->poller, &run->item, run->fd, EPOLLOUT, on_ready);
        else if (r == 0) {
                probe_trace_mark(start->trace, MOMENT_CONNECTED);
                ret->outcome = OUTCOME_OK;
                return 0;
        }
        if (r < 0) {
                probe_result_set_errno(ret, r);
                return 0;
        }
        *ret_run = TAKE_PTR(run);
        return 1;
}

static const char *tcp_waiting_for(const void *run _unused_) {
        return "connection";
}

static void tcp_cancel(void *run) {
        tcp_run_free(run);
}

const ProbeKind probe_kind_tcp = {
        .name = "tcp",
        .addressed = true,
        .start = tcp_start,
        .waiting_for = tcp_waiting_for,
        .cancel = tcp_cancel,
};
