/* tls_internal.h: what the files of tls share, and the only place that includes OpenSSL for TLS.
 * Nobody else includes it. */
#pragma once

#include <openssl/ssl.h>

#include "tls.h"

/* Bytes of records that carry no data, in a row: OpenSSL reads on within one call for as long as
 * such ones come. A chain of certificates may have 100 KiB by its own limit. */
#define TLS_IDLE_BYTES_MAX (128 * 1024)

/* Of a host name, with the NUL: as long as DNS allows. */
#define TLS_NAME_SIZE 256

struct TlsContext {
        unsigned references;
        SSL_CTX *ssl;
        BIO_METHOD *wire;
        bool verify;
        bool has_certificate;
};

struct TlsStream {
        TlsContext *context;
        TlsSession *session;
        SSL *ssl;
        int fd;
        int error;         /* errno of the socket, 0: none */
        size_t idle_bytes; /* received since there was last anything to hand out */
        usec_t began;
        bool sent, received; /* a byte */
        bool drained;        /* nothing more can be read before the next event */
        bool ended;          /* the peer has closed its side */
        bool wants_write;
        bool established;
        bool not_tls, plain_http; /* how its first bytes read */
        bool asked;               /* the peer asked for our certificate */
        int64_t expires; /* seconds of the wall clock: when the certificate does; 0: not known */
        ProbeOutcome outcome;
        char words[TLS_WORDS_SIZE];
};

/* Another holder. */
TlsContext *tls_context_ref(TlsContext *c);
/* How OpenSSL moves bytes: over the socket of a TlsStream. NULL: out of memory. */
BIO_METHOD *tls_wire_new(void);
/* Takes the fault from OpenSSL's queue into the stream. Returns the negative errno to hand on. */
int tls_fault_take(TlsStream *s, int ssl_error);
/* When a certificate expires, in seconds of the wall clock; 0: it says nothing of use. */
int64_t tls_certificate_expires(const X509 *certificate);
/* Days from now until that instant. */
double tls_days_until(int64_t expires);
