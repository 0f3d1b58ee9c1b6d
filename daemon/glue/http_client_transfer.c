#include <errno.h>

#include "http_client_internal.h"

#define USER_AGENT "rollbackd/" ROLLBACKD_VERSION

/* http or https, a host, no user and no password. */
static bool url_is_acceptable(const char *text) {
        CURLU *url = curl_url();
        char *scheme = NULL, *user = NULL;
        bool ok = false;

        if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
            curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK)
                ok = (streq(scheme, "http") || streq(scheme, "https")) &&
                     curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER;
        curl_free(scheme);
        curl_free(user);
        curl_url_cleanup(url);
        return ok;
}

static int transfer_add_header(HttpTransfer *t, const char *header) {
        struct curl_slist *longer;

        if (strpbrk(header, "\r\n") || !strchr(header, ':'))
                return -EINVAL;
        longer = curl_slist_append(t->headers, header);
        if (!longer)
                return -ENOMEM;
        t->headers = longer;
        return 0;
}

static int transfer_add_headers(HttpTransfer *t, const char *const *headers) {
        int r = 0;

        for (size_t i = 0; r == 0 && headers && headers[i]; i++)
                r = transfer_add_header(t, headers[i]);
        return r;
}

/* Counts here because the library's own limit does not hold for a body of unknown length. */
static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        HttpTransfer *t = userdata;
        char *longer;

        n *= size;
        if (n > t->body_max - t->body_size) {
                t->too_large = true;
                return 0;
        }
        longer = realloc(t->body, t->body_size + n + 1);
        if (!longer)
                return 0;
        memcpy(longer + t->body_size, data, n);
        t->body = longer;
        t->body_size += n;
        t->body[t->body_size] = '\0';
        return n;
}

static size_t on_header(_unused_ char *data, size_t size, size_t n, void *userdata) {
        HttpTransfer *t = userdata;

        n *= size;
        t->header_size += n;
        if (t->header_size > HTTP_CLIENT_HEADER_MAX) {
                t->too_large = true;
                return 0;
        }
        return n;
}

/* Rounded up, at least 1: 0 would mean no limit. */
static long to_msec(usec_t t) {
        usec_t msec = usec_add(t, USEC_PER_MSEC - 1) / USEC_PER_MSEC;

        return msec == 0 ? 1 : msec > INT32_MAX ? INT32_MAX : (long)msec;
}

static CURLcode transfer_set_limits(const HttpTransfer *t, usec_t timeout) {
        CURL *e = t->easy;
        CURLcode c = CURLE_OK;

        c = c ? c : curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, to_msec(timeout));
        c = c ? c : curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, to_msec(timeout));
        c = c ? c : curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        c = c ? c : curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
        c = c ? c : curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        c = c ? c : curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        return c;
}

static CURLcode transfer_set_address(const HttpTransfer *t, const char *url) {
        CURL *e = t->easy;
        CURLcode c = CURLE_OK;

        c = c ? c : curl_easy_setopt(e, CURLOPT_URL, url);
        c = c ? c : curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        c = c ? c : curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_PROXY, "");
        c = c ? c : curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
        c = c ? c : curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
        c = c ? c : curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        c = c ? c : curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
        c = c ? c : curl_easy_setopt(e, CURLOPT_USERAGENT, USER_AGENT);
        c = c ? c : curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
        return c;
}

int http_transfer_init(HttpTransfer *t, const char *url, const char *const *headers,
                       size_t body_max, usec_t timeout) {
        int r;

        *t = (HttpTransfer){ .body_max = body_max };
        if (!url_is_acceptable(url))
                return -EINVAL;
        r = transfer_add_headers(t, headers);
        if (r < 0)
                return r;
        t->easy = curl_easy_init();
        if (!t->easy || transfer_set_address(t, url) != CURLE_OK ||
            transfer_set_limits(t, timeout) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

void http_transfer_done(HttpTransfer *t) {
        if (t->easy)
                curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        free(t->body);
        *t = (HttpTransfer){ 0 };
}

typedef struct FailureRow {
        CURLcode code;
        int error;
        const char *words; /* without the URL, which may hold a secret */
} FailureRow;

static const FailureRow failure_rows[] = {
        { CURLE_OPERATION_TIMEDOUT, -ETIMEDOUT, "no whole answer in time" },
        { CURLE_COULDNT_RESOLVE_HOST, -EHOSTUNREACH, "the name of the host cannot be resolved" },
        { CURLE_COULDNT_CONNECT, -EHOSTUNREACH, "no connection to the host" },
        { CURLE_GOT_NOTHING, -EPROTO, "the connection was closed without an answer" },
        { CURLE_RECV_ERROR, -EPROTO, "the connection broke while the answer was read" },
        { CURLE_SEND_ERROR, -EPROTO, "the connection broke while the request was sent" },
        { CURLE_PARTIAL_FILE, -EPROTO, "the answer ended too early" },
        { CURLE_WEIRD_SERVER_REPLY, -EPROTO, "the answer is not HTTP" },
        { CURLE_UNSUPPORTED_PROTOCOL, -EPROTO, "the answer is not HTTP/1.1" },
        { CURLE_PEER_FAILED_VERIFICATION, -EPROTO, "the server's TLS certificate is not accepted" },
        { CURLE_SSL_CONNECT_ERROR, -EPROTO, "the TLS handshake failed" },
        { CURLE_SSL_CACERT_BADFILE, -EPROTO, "the file of certificate authorities cannot be read" },
        { CURLE_OUT_OF_MEMORY, -ENOMEM, "out of memory" },
};

static void set_words(HttpReply *reply, int error, const char *words) {
        StrBuf b;

        strbuf_init(&b, reply->words, sizeof reply->words);
        strbuf_add(&b, words);
        reply->error = error;
}

bool http_transfer_is_resolved(const HttpTransfer *t) {
        curl_off_t lookup = 0;

        return curl_easy_getinfo(t->easy, CURLINFO_NAMELOOKUP_TIME_T, &lookup) == CURLE_OK &&
               lookup > 0;
}

static void explain_failure(const HttpTransfer *t, CURLcode code, usec_t timeout,
                            HttpReply *reply) {
        long os_error = 0;
        STRBUF(words, sizeof reply->words);

        if (t->too_large) {
                set_words(reply, -EFBIG, "the answer is larger than is accepted");
                return;
        }
        reply->unresolved = code == CURLE_COULDNT_RESOLVE_HOST ||
                            (code == CURLE_OPERATION_TIMEDOUT && !http_transfer_is_resolved(t));
        (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_error);
        if (code == CURLE_COULDNT_CONNECT && os_error == ECONNREFUSED) {
                set_words(reply, -ECONNREFUSED, "connection refused");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(failure_rows); i++)
                if (failure_rows[i].code == code) {
                        strbuf_add(&words, failure_rows[i].words);
                        if (code == CURLE_OPERATION_TIMEDOUT) {
                                strbuf_add(&words, " (");
                                strbuf_add_usec_words(&words, timeout);
                                strbuf_add(&words, ")");
                        }
                        set_words(reply, failure_rows[i].error, words.text);
                        return;
                }
        strbuf_add(&words, "the request failed (libcurl's code ");
        strbuf_add_u64(&words, (uint64_t)code);
        strbuf_add(&words, ")");
        set_words(reply, -EPROTO, words.text);
}

void http_transfer_reply(const HttpTransfer *t, CURLcode code, usec_t timeout, HttpReply *ret) {
        curl_off_t retry_after = 0;
        long status = 0;

        *ret = (HttpReply){ .body = "" };
        if (code != CURLE_OK) {
                explain_failure(t, code, timeout, ret);
                return;
        }
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_after);
        ret->status = (unsigned)status;
        if (retry_after > 0)
                ret->retry_after = MIN((usec_t)retry_after, USEC_INFINITY / USEC_PER_SEC - 1) *
                                   USEC_PER_SEC;
        if (t->body) {
                ret->body = t->body;
                ret->body_size = t->body_size;
        }
}
