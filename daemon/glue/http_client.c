#include <errno.h>

#include "http_client_internal.h"

struct HttpRequest {
        HttpClient *client;
        HttpRequest *next;
        HttpTransfer transfer;
        usec_t timeout;
        HttpReplyCallback callback;
        void *userdata;
};

struct HttpClient {
        Loop *loop;
        size_t reply_max;
        CURLM *multi;
        LoopTimer *timer; /* the library's */
        LoopTimer *drain; /* finished requests are handed out one per turn */
        HttpRequest *requests;
        unsigned n_requests;
        bool initialised;
};

static void request_free(HttpRequest *r) {
        HttpClient *c = r->client;

        for (HttpRequest **p = &c->requests; *p; p = &(*p)->next)
                if (*p == r) {
                        *p = r->next;
                        c->n_requests--;
                        if (r->transfer.easy)
                                (void)curl_multi_remove_handle(c->multi, r->transfer.easy);
                        break;
                }
        http_transfer_done(&r->transfer);
        free(r);
}

/* The callback may start requests, cancel others, or free the client: so it comes last. */
static void client_on_drain(void *userdata, usec_t now) {
        HttpClient *c = userdata;
        HttpRequest *request = NULL;
        _cleanup_(freep) char *body = NULL;
        HttpReplyCallback callback;
        HttpReply reply;
        CURLMsg *message;
        CURLcode code;
        int left;

        message = curl_multi_info_read(c->multi, &left);
        if (!message || message->msg != CURLMSG_DONE)
                return;
        loop_timer_set(c->drain, now);
        code = message->data.result;
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request) !=
                    CURLE_OK ||
            !request)
                return;
        http_transfer_reply(&request->transfer, code, request->timeout, &reply);
        callback = request->callback;
        userdata = request->userdata;
        body = TAKE_PTR(request->transfer.body);
        request_free(request);
        callback(userdata, &reply);
}

static void client_act(HttpClient *c, curl_socket_t fd, int what) {
        int running;

        (void)curl_multi_socket_action(c->multi, fd, what, &running);
        loop_timer_set(c->drain, loop_now(c->loop));
}

static void client_on_io(void *userdata, int fd, uint32_t events) {
        int what = 0;

        if (events & (EPOLLIN | EPOLLHUP | EPOLLRDHUP))
                what |= CURL_CSELECT_IN;
        if (events & EPOLLOUT)
                what |= CURL_CSELECT_OUT;
        if (events & EPOLLERR)
                what |= CURL_CSELECT_ERR;
        client_act(userdata, fd, what);
}

static void client_on_timer(void *userdata, _unused_ usec_t now) {
        client_act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

/* The library's wish for a timer. */
static int client_set_timer(_unused_ CURLM *multi, long timeout, void *userdata) {
        HttpClient *c = userdata;

        loop_timer_set(c->timer,
                       timeout < 0 ? USEC_INFINITY :
                                     usec_add(loop_now(c->loop), (usec_t)timeout * USEC_PER_MSEC));
        return 0;
}

/* The library's wish to watch a descriptor; `socketp` is the LoopIo that we gave it, or NULL. */
static int client_set_socket(_unused_ CURL *easy, curl_socket_t fd, int what, void *userdata,
                             void *socketp) {
        HttpClient *c = userdata;
        LoopIo *io = socketp;
        uint32_t events = 0;
        int r;

        if (what == CURL_POLL_REMOVE) {
                loop_io_free(io);
                (void)curl_multi_assign(c->multi, fd, NULL);
                return 0;
        }
        if (what & CURL_POLL_IN)
                events |= EPOLLIN;
        if (what & CURL_POLL_OUT)
                events |= EPOLLOUT;
        if (io)
                return loop_io_set(io, events) < 0 ? -1 : 0;
        r = loop_add_io(c->loop, fd, events, client_on_io, c, "http-client", &io);
        if (r < 0)
                return -1;
        (void)curl_multi_assign(c->multi, fd, io);
        return 0;
}

int http_client_new(HttpClient **ret, Loop *loop, size_t reply_max) {
        _cleanup_(http_client_freep) HttpClient *c = calloc(1, sizeof *c);
        int r;

        if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -ENOMEM;
        c->initialised = true;
        c->loop = loop;
        c->reply_max = reply_max;
        r = loop_add_timer(loop, client_on_timer, c, "http-client-timer", &c->timer);
        if (r < 0)
                return r;
        r = loop_add_timer(loop, client_on_drain, c, "http-client-drain", &c->drain);
        if (r < 0)
                return r;
        c->multi = curl_multi_init();
        if (!c->multi ||
            curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, client_set_socket) != CURLM_OK ||
            curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
            curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, client_set_timer) != CURLM_OK ||
            curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK)
                return -ENOMEM;
        *ret = TAKE_PTR(c);
        return 0;
}

HttpClient *http_client_free(HttpClient *c) {
        if (!c)
                return NULL;
        while (c->requests)
                request_free(c->requests);
        if (c->multi)
                (void)curl_multi_cleanup(c->multi);
        loop_timer_free(c->timer);
        loop_timer_free(c->drain);
        if (c->initialised)
                curl_global_cleanup();
        free(c);
        return NULL;
}

static int request_start(HttpRequest *r, const char *body, size_t body_size) {
        CURL *e = r->transfer.easy;

        if (curl_easy_setopt(e, CURLOPT_PRIVATE, r) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_POST, 1L) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body_size) != CURLE_OK ||
            curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body) != CURLE_OK ||
            curl_multi_add_handle(r->client->multi, e) != CURLM_OK)
                return -ENOMEM;
        return 0;
}

int http_client_post(HttpClient *c, const char *url, const char *const *headers, const char *body,
                     size_t body_size, usec_t timeout, HttpReplyCallback callback, void *userdata,
                     HttpRequest **ret) {
        HttpRequest *request;
        int r;

        if (c->n_requests >= HTTP_CLIENT_CONCURRENT + HTTP_CLIENT_SPARE)
                return -EAGAIN;
        request = calloc(1, sizeof *request);
        if (!request)
                return -ENOMEM;
        request->client = c;
        request->timeout = timeout;
        request->callback = callback;
        request->userdata = userdata;
        r = http_transfer_init(&request->transfer, url, headers, c->reply_max, timeout);
        if (r == 0)
                r = request_start(request, body, body_size);
        if (r < 0) {
                request_free(request);
                return r;
        }
        request->next = c->requests;
        c->requests = request;
        c->n_requests++;
        if (ret)
                *ret = request;
        return 0;
}

bool http_request_is_resolved(const HttpRequest *r) {
        return http_transfer_is_resolved(&r->transfer);
}

void http_request_cancel(HttpRequest *r) {
        if (r)
                request_free(r);
}
