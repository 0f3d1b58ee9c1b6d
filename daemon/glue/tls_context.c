#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tls_internal.h"

static const unsigned char alpn[] = "\x08http/1.1";

const char *tls_version_to_string(TlsVersion v) {
        static const char *const names[] = { [TLS_VERSION_1_2] = "1.2", [TLS_VERSION_1_3] = "1.3" };

        assert((unsigned)v < _TLS_VERSION_MAX);
        return names[v];
}

static int refuse(StrBuf *error, const char *key, const char *path, const char *words) {
        strbuf_add(error, key);
        strbuf_add_char(error, ' ');
        strbuf_add_escaped(error, path, strlen(path));
        strbuf_add(error, ": ");
        strbuf_add(error, words);
        ERR_clear_error();
        return -EINVAL;
}

static int check_readable(const char *key, const char *path, StrBuf *error) {
        if (access(path, R_OK) == 0)
                return 0;

        const char *name = strerrordesc_np(errno);
        return refuse(error, key, path, name ?: "cannot be read");
}

/* Certificates lie in a directory under the hash of their owner's name. */
static bool is_hash(const struct dirent *entry) {
        return strspn(entry->d_name, "0123456789abcdef") == 8 && entry->d_name[8] == '.';
}

static bool holds_certificates(const char *directory) {
        DIR *d = opendir(directory);
        const struct dirent *entry;
        bool found = false;

        while (d && !found && (entry = readdir(d)))
                found = is_hash(entry);
        if (d)
                (void)closedir(d);
        return found;
}

/* Whether there is anything where OpenSSL looks by itself: a file, and directories. */
static bool host_trusts_anybody(void) {
        const char *file = secure_getenv(X509_get_default_cert_file_env()),
                   *list = secure_getenv(X509_get_default_cert_dir_env());
        char *directories = strdup(list ?: X509_get_default_cert_dir()), *rest = directories;
        bool found = access(file ?: X509_get_default_cert_file(), R_OK) == 0;

        while (rest && !found)
                found = holds_certificates(strsep(&rest, ":"));
        free(directories);
        return found;
}

/* To a host that trusts nobody every certificate looks as if nobody had signed it. */
static int trust_as_the_host(SSL_CTX *ssl, StrBuf *error) {
        if (!host_trusts_anybody()) {
                strbuf_add(error, "this host trusts no authority that signs certificates; install "
                                  "ca-certificates, or name a ca_file");
                return -ENOENT;
        }
        return SSL_CTX_set_default_verify_paths(ssl) == 1 ? 0 : -ENOMEM;
}

static int trust(SSL_CTX *ssl, const TlsSettings *settings, StrBuf *error) {
        const char *path = settings->ca_file;

        if (!settings->verify)
                return 0;
        if (!path)
                return trust_as_the_host(ssl, error);

        int r = check_readable("ca_file", path, error);
        if (r < 0)
                return r;
        if (SSL_CTX_load_verify_file(ssl, path) != 1)
                return refuse(error, "ca_file", path, "holds no certificate in PEM form");
        return 0;
}

/* A key with a pass phrase is refused: there is nobody to ask. */
static int no_pass_phrase(char *text _unused_, int size _unused_, int writing _unused_,
                          void *userdata _unused_) {
        return -1;
}

static int use_key(SSL_CTX *ssl, const TlsSettings *settings, StrBuf *error) {
        const char *path = settings->certificate_file;
        EVP_PKEY *key = NULL;
        bool used;
        BIO *text;

        if (!settings->key)
                used = SSL_CTX_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM) == 1;
        else {
                text = BIO_new_mem_buf(settings->key, -1);
                if (!text)
                        return -ENOMEM;
                key = PEM_read_bio_PrivateKey(text, NULL, no_pass_phrase, NULL);
                BIO_free(text);
                used = key && SSL_CTX_use_PrivateKey(ssl, key) == 1;
                EVP_PKEY_free(key);
        }
        if (!used || SSL_CTX_check_private_key(ssl) != 1)
                return refuse(error, "certificate_file", path,
                              settings->key ? "key_file does not hold its private key in PEM "
                                              "form, without a pass phrase" :
                                              "holds no private key of its own; name it in "
                                              "key_file");
        return 0;
}

static int use_certificate(SSL_CTX *ssl, const TlsSettings *settings, StrBuf *error) {
        const char *path = settings->certificate_file;
        int r;

        if (!path)
                return 0;
        r = check_readable("certificate_file", path, error);
        if (r < 0)
                return r;
        SSL_CTX_set_default_passwd_cb(ssl, no_pass_phrase);
        if (SSL_CTX_use_certificate_chain_file(ssl, path) != 1)
                return refuse(error, "certificate_file", path, "holds no certificate in PEM form");
        return use_key(ssl, settings, error);
}

/* The newest session of a peer takes the place of the one before. */
static int on_new_session(SSL *ssl, SSL_SESSION *session) {
        TlsStream *s = SSL_get_app_data(ssl);
        TlsSession *kept = s->session;
        usec_t verified = SSL_session_reused(ssl) ? kept->verified : s->began;

        tls_session_clear(kept);
        *kept = (TlsSession){ .session = session,
                              .context = tls_context_ref(s->context),
                              .verified = verified };
        return 1;
}

static int on_certificate_asked(SSL *ssl, X509 **ret_certificate _unused_,
                                EVP_PKEY **ret_key _unused_) {
        ((TlsStream *)SSL_get_app_data(ssl))->asked = true;
        return 0;
}

static int on_verify(int good, X509_STORE_CTX *store) {
        const SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
        TlsStream *s = SSL_get_app_data(ssl);
        const X509 *leaf = X509_STORE_CTX_get0_cert(store);

        if (s->expires == 0 && leaf)
                s->expires = tls_certificate_expires(leaf);
        return good || !s->context->verify;
}

static void set_up(SSL_CTX *ssl, const TlsSettings *settings) {
        SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        /* One call to the kernel for a flight of records instead of two for each record. */
        SSL_CTX_set_read_ahead(ssl, 1);
        SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl, on_new_session);
        SSL_CTX_set_client_cert_cb(ssl, on_certificate_asked);
        SSL_CTX_set_verify(ssl, settings->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, on_verify);
}

int tls_context_new(TlsContext **ret, const TlsSettings *settings, StrBuf *reterr) {
        static const int versions[] = {
                [TLS_VERSION_1_2] = TLS1_2_VERSION, [TLS_VERSION_1_3] = TLS1_3_VERSION
        };
        _cleanup_(tls_context_freep) TlsContext *c = calloc(1, sizeof *c);
        int r;

        if (!c)
                return -ENOMEM;
        ERR_clear_error();
        c->references = 1;
        c->verify = settings->verify;
        c->has_certificate = settings->certificate_file;
        c->wire = tls_wire_new();
        c->ssl = SSL_CTX_new(TLS_client_method());
        if (!c->wire || !c->ssl ||
            SSL_CTX_set_min_proto_version(c->ssl, versions[settings->minimum_version]) != 1 ||
            SSL_CTX_set_alpn_protos(c->ssl, alpn, sizeof alpn - 1) != 0)
                return -ENOMEM;
        set_up(c->ssl, settings);
        r = trust(c->ssl, settings, reterr);
        if (r == 0)
                r = use_certificate(c->ssl, settings, reterr);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(c);
        return 0;
}

TlsContext *tls_context_ref(TlsContext *c) {
        c->references++;
        return c;
}

TlsContext *tls_context_free(TlsContext *c) {
        if (!c || --c->references > 0)
                return NULL;
        SSL_CTX_free(c->ssl);
        BIO_meth_free(c->wire);
        free(c);
        return NULL;
}

void tls_session_clear(TlsSession *s) {
        SSL_SESSION_free(s->session);
        tls_context_free(s->context);
        *s = (TlsSession){};
}
