#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <time.h>

#include "tls_internal.h"

int64_t tls_certificate_expires(const X509 *certificate) {
        const ASN1_TIME *end = X509_get0_notAfter(certificate);
        struct tm tm;

        return end && ASN1_TIME_to_tm(end, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

double tls_days_until(int64_t expires) {
        return (double)(expires - (int64_t)time(NULL)) / 86400;
}

static int put(TlsStream *s, ProbeOutcome outcome, const char *words, const char *more) {
        StrBuf b;

        strbuf_init(&b, s->words, sizeof s->words);
        strbuf_add(&b, words);
        strbuf_add(&b, more);
        s->outcome = outcome;
        return -EPROTO;
}

static int put_expired(TlsStream *s) {
        STRBUF(words, 64);

        double days = tls_days_until(s->expires);

        if (s->expires == 0 || days > 0)
                return put(s, OUTCOME_TLS_EXPIRED, "a certificate above the server's has expired",
                           "");
        strbuf_add_double(&words, -days, 1);
        strbuf_add(&words, " days ago");
        return put(s, OUTCOME_TLS_EXPIRED, "the certificate expired ", words.text);
}

static int put_unverified(TlsStream *s, long why) {
        const char *name = SSL_get0_peername(s->ssl);

        switch (why) {
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return put_expired(s);
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return put(s, OUTCOME_TLS_EXPIRED,
                           "the certificate is not valid yet: is the clock right here and there?",
                           "");
        case X509_V_ERR_HOSTNAME_MISMATCH:
        case X509_V_ERR_IP_ADDRESS_MISMATCH:
                name = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
                return put(s, OUTCOME_TLS_NAME, "the certificate is not for ",
                           name ?: "this address");
        case X509_V_ERR_OUT_OF_MEM:
                return -ENOMEM;
        }
        return put(s, OUTCOME_TLS_UNTRUSTED,
                   "certificate not trusted: ", X509_verify_cert_error_string(why));
}

/* The peer's alerts that are about our certificate. */
static bool is_about_ours(const TlsStream *s, int reason) {
        switch (reason) {
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_NO_CERTIFICATE:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
        case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
        case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
                return true;
        case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
                return s->asked && !s->context->has_certificate;
        }
        return false;
}

static bool is_about_version(int reason) {
        return reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION ||
               reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_UNKNOWN_SSL_VERSION ||
               reason == SSL_R_WRONG_SSL_VERSION || reason == SSL_R_VERSION_TOO_LOW;
}

static int put_reason(TlsStream *s, unsigned long error) {
        int reason = ERR_GET_REASON(error);
        const char *words = ERR_reason_error_string(error);

        if (reason == ERR_R_MALLOC_FAILURE)
                return -ENOMEM;
        if (s->not_tls)
                return put(s, OUTCOME_TLS,
                           s->plain_http ? "this port speaks plain HTTP, not TLS" :
                                           "this port does not speak TLS",
                           "");
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
                return put_unverified(s, SSL_get_verify_result(s->ssl));
        if (is_about_ours(s, reason))
                return put(s, OUTCOME_DENIED,
                           s->context->has_certificate ? "the server refuses our certificate: " :
                                                         "the server demands a client certificate, "
                                                         "and tls names no certificate_file: ",
                           words ?: "");
        if (is_about_version(reason))
                return put(s, OUTCOME_TLS_VERSION,
                           "the server speaks no version of TLS that tls.minimum_version allows",
                           "");
        return put(s, OUTCOME_TLS,
                   s->established ? "the TLS connection broke: " : "the TLS handshake failed: ",
                   words ?: "OpenSSL gives no reason");
}

int tls_fault_take(TlsStream *s, int ssl_error) {
        unsigned long error = ERR_peek_error();
        bool truncated = ssl_error == SSL_ERROR_SSL && ERR_GET_LIB(error) == ERR_LIB_SSL &&
                         ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
        int r;

        if (s->idle_bytes > TLS_IDLE_BYTES_MAX)
                r = put(s, OUTCOME_TLS,
                        s->established ?
                                "the server sends TLS records that carry nothing, without end" :
                                "the server's TLS handshake has no end",
                        "");
        else if (s->error != 0)
                r = -s->error;
        else if (truncated && s->established)
                r = -ENODATA;
        else if (truncated)
                r = put(s, OUTCOME_TLS, "closed during the TLS handshake", "");
        else
                r = put_reason(s, error);
        ERR_clear_error();
        /* What failed is not resumed. */
        if (r != -ENODATA)
                tls_session_clear(s->session);
        return r;
}
