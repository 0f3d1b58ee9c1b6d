#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "tls_internal.h"

/* The wire: OpenSSL's own would write without MSG_NOSIGNAL, and ask the socket once more after each
 * short read. */
static int wire_write(BIO *b, const char *data, int n) {
        TlsStream *s = BIO_get_data(b);
        ssize_t sent;

        BIO_clear_retry_flags(b);
        do
                sent = send(s->fd, data, (size_t)n, MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent >= 0) {
                s->sent = true;
                return (int)sent;
        }
        if (errno == EAGAIN)
                BIO_set_retry_write(b);
        else
                s->error = errno;
        return -1;
}

/* Every TLS server begins with a record of a handshake or an alert. */
static void look_at_start(TlsStream *s, const char *data, ssize_t n) {
        static const char http[] = "HTTP/";

        s->not_tls = data[0] != 0x16 && data[0] != 0x15;
        s->plain_http = n >= (ssize_t)sizeof http && memcmp(data, http, sizeof http - 1) == 0;
        s->received = true;
}

static int wire_read(BIO *b, char *data, int size) {
        TlsStream *s = BIO_get_data(b);
        ssize_t n;

        BIO_clear_retry_flags(b);
        if (s->idle_bytes > TLS_IDLE_BYTES_MAX)
                return -1;
        if (s->drained) {
                BIO_set_retry_read(b);
                return -1;
        }
        do
                n = recv(s->fd, data, (size_t)size, 0);
        while (n < 0 && errno == EINTR);
        if (n < 0 && errno == EAGAIN)
                BIO_set_retry_read(b);
        else if (n < 0)
                s->error = errno;
        if (n > 0)
                s->idle_bytes += (size_t)n;
        s->ended |= n == 0;
        s->drained = n < size && !s->ended;
        if (n > 0 && !s->received)
                look_at_start(s, data, n);
        return (int)n;
}

static long wire_control(BIO *b, int command, long number _unused_, void *pointer _unused_) {
        const TlsStream *s = BIO_get_data(b);

        return command == BIO_CTRL_FLUSH ? 1 : command == BIO_CTRL_EOF ? s->ended : 0;
}

BIO_METHOD *tls_wire_new(void) {
        BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "rollbackd");

        if (m)
                (void)(BIO_meth_set_write(m, wire_write) && BIO_meth_set_read(m, wire_read) &&
                       BIO_meth_set_ctrl(m, wire_control));
        return m;
}

/* Asks for the name, and wants the certificate to be for it. The dot at the end of a name that is
 * whole is for resolvers alone. */
static int set_name(SSL *ssl, const char *name) {
        X509_VERIFY_PARAM *wanted = SSL_get0_param(ssl);
        unsigned char address[sizeof(struct in6_addr)];
        size_t n = strlen(name);
        STRBUF(host, TLS_NAME_SIZE);

        if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
                return X509_VERIFY_PARAM_set1_ip_asc(wanted, name) == 1 ? 0 : -ENOMEM;
        X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        strbuf_add_n(&host, name, n - (n > 1 && name[n - 1] == '.'));
        if (host.length == 0 || host.overflow)
                return -EINVAL;
        return SSL_set1_host(ssl, host.text) == 1 && SSL_set_tlsext_host_name(ssl, host.text) == 1 ?
                       0 :
                       -ENOMEM;
}

/* One that would resume a certificate that has expired meanwhile is not. */
static bool session_is_fresh(const TlsSession *session, const TlsContext *context, usec_t now) {
        const X509 *leaf;

        if (!session->session || session->context != context ||
            now - session->verified >= TLS_SESSION_AGE_MAX)
                return false;
        leaf = SSL_SESSION_get0_peer(session->session);
        return !context->verify || (leaf && tls_days_until(tls_certificate_expires(leaf)) > 0);
}

static int set_up(TlsStream *s, const char *name) {
        BIO *wire = BIO_new(s->context->wire);

        if (!wire)
                return -ENOMEM;
        BIO_set_data(wire, s);
        BIO_set_init(wire, 1);
        s->ssl = SSL_new(s->context->ssl);
        if (!s->ssl) {
                BIO_free(wire);
                return -ENOMEM;
        }
        SSL_set_bio(s->ssl, wire, wire);
        SSL_set_app_data(s->ssl, s);
        SSL_set_connect_state(s->ssl);
        if (session_is_fresh(s->session, s->context, s->began))
                (void)SSL_set_session(s->ssl, s->session->session);
        else
                tls_session_clear(s->session);
        return set_name(s->ssl, name);
}

int tls_stream_new(TlsStream **ret, TlsContext *context, int fd, const char *name,
                   TlsSession *session, usec_t now) {
        TlsStream *s = calloc(1, sizeof *s);
        int r;

        if (!s)
                return -ENOMEM;
        ERR_clear_error();
        s->context = tls_context_ref(context);
        s->session = session;
        s->fd = fd;
        s->began = now;
        r = set_up(s, name);
        if (r < 0) {
                tls_stream_free(s);
                return r;
        }
        *ret = s;
        return 0;
}

TlsStream *tls_stream_free(TlsStream *s) {
        if (!s)
                return NULL;
        /* Else the session would be taken for broken, and not be resumed. */
        if (s->ssl && s->established)
                SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(s->ssl);
        tls_context_free(s->context);
        free(s);
        return NULL;
}

void tls_stream_wake(TlsStream *s, bool ended) {
        s->drained = false;
        s->ended |= ended;
}

/* What a call that did not succeed came to. */
static int unfinished(TlsStream *s, int result) {
        int error = SSL_get_error(s->ssl, result);

        s->wants_write = error == SSL_ERROR_WANT_WRITE;
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return -EAGAIN;
        if (error == SSL_ERROR_ZERO_RETURN)
                return 0;
        return tls_fault_take(s, error);
}

int tls_stream_handshake(TlsStream *s) {
        const X509 *leaf;
        int r;

        if (s->established)
                return 0;
        ERR_clear_error();
        r = SSL_do_handshake(s->ssl);
        if (r != 1) {
                r = unfinished(s, r);
                return r == 0 ? -ECONNRESET : r;
        }
        s->established = true;
        s->idle_bytes = 0;
        leaf = SSL_get0_peer_certificate(s->ssl);
        if (leaf)
                s->expires = tls_certificate_expires(leaf);
        return 0;
}

ssize_t tls_stream_send(TlsStream *s, const char *data, size_t n) {
        size_t sent;
        int r;

        ERR_clear_error();
        r = SSL_write_ex(s->ssl, data, n, &sent);
        if (r == 1)
                return (ssize_t)sent;
        r = unfinished(s, r);
        return r == 0 ? -EPIPE : r;
}

ssize_t tls_stream_receive(TlsStream *s, char *data, size_t size) {
        size_t n;
        int r;

        ERR_clear_error();
        r = SSL_read_ex(s->ssl, data, size, &n);
        if (r != 1)
                return unfinished(s, r);
        s->idle_bytes = 0;
        return (ssize_t)n;
}

bool tls_stream_wants_write(const TlsStream *s) {
        return s->wants_write;
}

bool tls_stream_may_have_more(const TlsStream *s) {
        return !s->drained || SSL_has_pending(s->ssl);
}

bool tls_stream_is_connected(const TlsStream *s) {
        return s->sent;
}

bool tls_stream_is_established(const TlsStream *s) {
        return s->established;
}

ProbeOutcome tls_stream_fault(const TlsStream *s, const char **ret_words) {
        *ret_words = s->words;
        return s->outcome;
}

bool tls_stream_is_resumed(const TlsStream *s) {
        return s->established && SSL_session_reused(s->ssl);
}

bool tls_stream_certificate_days(const TlsStream *s, double *ret_days) {
        if (s->expires != 0)
                *ret_days = tls_days_until(s->expires);
        return s->expires != 0;
}
