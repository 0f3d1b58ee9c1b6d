#include <errno.h>

#include "http_peer.h"

struct HttpPeer {
        Stream *idle; /* NULL: none */
        TlsSession session;
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
        http_peer_start_epoch(p);
        free(p);
        return NULL;
}

void http_peer_renew(HttpPeer *p) {
        p->idle = stream_free(p->idle);
}

void http_peer_start_epoch(HttpPeer *p) {
        http_peer_renew(p);
        tls_session_clear(&p->session);
}

TlsSession *http_peer_session(HttpPeer *p) {
        return &p->session;
}

/* Nobody asked: the peer has closed, or speaks out of turn. What TLS says for itself, such as a new
 * ticket, is neither. */
static void on_idle(PollItem *item, uint32_t events) {
        Stream *s = (Stream *)item;
        HttpPeer *p = s->owner;
        char byte;

        stream_wake(s, events);
        if (!s->tls || s->ended || stream_receive(s, &byte, sizeof byte) != -EAGAIN)
                http_peer_renew(p);
}

Stream *http_peer_take(HttpPeer *p, const Address *address, const TlsContext *tls) {
        if (p->idle && !stream_leads_to(p->idle, address, tls))
                http_peer_renew(p);
        return TAKE_PTR(p->idle);
}

void http_peer_keep(HttpPeer *p, Stream *s) {
        http_peer_renew(p);
        if (stream_watch(s, on_idle, p) < 0)
                stream_free(s);
        else
                p->idle = s;
}
