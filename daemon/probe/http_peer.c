#include <errno.h>

#include "http_peer.h"

struct HttpPeer {
        Stream *idle; /* NULL: none */
};

int http_peer_new(HttpPeer **ret) {
        HttpPeer *p = calloc(1, sizeof *p);

        if (!p)
                return -ENOMEM;
        *ret = p;
        return 0;
}

HttpPeer *http_peer_free(HttpPeer *p) {
        if (!p)
                return NULL;
        http_peer_renew(p);
        free(p);
        return NULL;
}

void http_peer_renew(HttpPeer *p) {
        p->idle = stream_free(p->idle);
}

/* Nobody asked: the peer has closed, or speaks out of turn. */
static void on_idle(PollItem *item, uint32_t events) {
        Stream *s = (Stream *)item;
        HttpPeer *p = s->owner;

        s->ended |= events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
        http_peer_renew(p);
}

Stream *http_peer_take(HttpPeer *p, const Address *address) {
        if (p->idle && !stream_leads_to(p->idle, address))
                http_peer_renew(p);
        return TAKE_PTR(p->idle);
}

void http_peer_keep(HttpPeer *p, Stream *s) {
        http_peer_renew(p);
        if (stream_watch(s, on_idle, p, false) < 0)
                stream_free(s);
        else
                p->idle = s;
}
