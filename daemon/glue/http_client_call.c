#include <errno.h>

#include "http_client_internal.h"

static CURLcode call_set(CURL *e, const char *socket, const char *method, const char *body) {
        CURLcode c = CURLE_OK;

        if (socket)
                c = c ? c : curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, socket);
        if (body) {
                c = c ? c : curl_easy_setopt(e, CURLOPT_POST, 1L);
                c = c ? c :
                        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
                c = c ? c : curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body);
        }
        if (streq(method, "HEAD"))
                c = c ? c : curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        else
                c = c ? c : curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, method);
        return c;
}

/* A socket that is missing or shut is told apart from one that nobody serves. */
static int call_error(const HttpTransfer *t, const HttpReply *reply) {
        long os_error = 0;

        (void)curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os_error);
        if (reply->error == -EHOSTUNREACH && (os_error == ENOENT || os_error == EACCES))
                return -(int)os_error;
        return reply->error;
}

int http_client_call(const char *socket, const char *method, const char *url,
                     const char *const *headers, const char *body, usec_t timeout, char **ret_body,
                     size_t *ret_size) {
        HttpTransfer transfer;
        HttpReply reply;
        int r;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        r = http_transfer_init(&transfer, url, headers, HTTP_CLIENT_CALL_MAX, timeout);
        if (r == 0 && call_set(transfer.easy, socket, method, body) != CURLE_OK)
                r = -ENOMEM;
        if (r == 0) {
                http_transfer_reply(&transfer, curl_easy_perform(transfer.easy), timeout, &reply);
                r = reply.error < 0 ? call_error(&transfer, &reply) : (int)reply.status;
        }
        if (r >= 0 && !transfer.body)
                transfer.body = calloc(1, 1);
        if (r >= 0 && !transfer.body)
                r = -ENOMEM;
        if (r >= 0) {
                *ret_size = transfer.body_size;
                *ret_body = TAKE_PTR(transfer.body);
        }
        http_transfer_done(&transfer);
        curl_global_cleanup();
        return r;
}
