/* tls_site.h: for the tests of TLS: certificates made by the openssl command, and a real server of
 * OpenSSL's that a script of the probe harness can play. Knows nothing of what is expected. */
#pragma once

#include "probe_harness.h"

/* Set-up and tear-down of a cmocka group: a directory of its own with
 *   ca.pem       the site's authority, good for a month
 *   other.pem    another one
 *   good.pem     of ca: localhost, 127.0.0.1 and ::1, good for a month; good.key
 *   expired.pem, early.pem, elsewhere.pem    the same, but that
 *   self.pem     signed by itself; self.key
 *   client.pem, client.key, stranger.pem    of ca, of other, with their keys in the file */
int tls_site_set_up(void **state);
int tls_site_tear_down(void **state);
/* Path of one of the files, in one of a few static buffers. */
const char *tls_site_path(const char *name);
/* Copies one of the files over another, new or not. */
void tls_site_copy(const char *from, const char *to);

/* What the server is like; set before it is started. */
typedef struct TlsSite {
        const char *certificate, *key; /* names of files */
        int version;  /* the only one that it speaks (TLS1_2_VERSION, ...), 0: any */
        bool demands; /* a certificate of ca */
} TlsSite;
extern TlsSite tls_site;

/* Plays the server's side of the handshake. Returns an SSL, or NULL when it came to nothing; then
 * the connection is through. */
void *tls_site_accept(int fd);
/* Reads a request. Returns false when there is none; *ret_last: it asks for the connection to be
 * closed. */
bool tls_site_hear(void *ssl, bool *ret_last);
void tls_site_say(void *ssl, const char *text);
bool tls_site_resumed(const void *ssl);
/* Frees; `farewell`: with a close_notify. */
void tls_site_hang_up(void *ssl, bool farewell);
