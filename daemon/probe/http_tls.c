#include <errno.h>

#include "digest.h"
#include "http_tls.h"

struct HttpTls {
        TlsContext *context; /* NULL: our side does not work */
        char words[PROBE_WORDS_SIZE];
};

static bool is_wanted(const ProbeConfig *config) {
        for (size_t i = 0; i < config->n_targets; i++)
                if (config->targets[i].tls)
                        return true;
        return false;
}

static int make_context(HttpTls *t, const ProbeTools *tools, const TlsConfig *config,
                        StrBuf *error) {
        char *key = NULL;
        int r = 0;

        if (config->key_file)
                r = config_read_secret(tools->secrets, config->key_file, &key, error);
        if (r >= 0)
                r = tls_context_new(&t->context,
                                    &(TlsSettings){ .verify = config->verify,
                                                    .ca_file = config->ca_file,
                                                    .certificate_file = config->certificate_file,
                                                    .key = key,
                                                    .minimum_version = config->minimum_version },
                                    error);
        if (key)
                digest_wipe(key, strlen(key));
        free(key);
        return r;
}

int http_tls_new(HttpTls **ret, const ProbeTools *tools, const ProbeConfig *config) {
        HttpTls *t;
        StrBuf words;
        int r;

        if (!is_wanted(config)) {
                *ret = NULL;
                return 0;
        }
        t = calloc(1, sizeof *t);
        if (!t)
                return -ENOMEM;
        strbuf_init(&words, t->words, sizeof t->words);
        r = make_context(t, tools, &config->tls, &words);
        if (r == -ENOMEM) {
                http_tls_free(t);
                return r;
        }
        *ret = t;
        return 0;
}

HttpTls *http_tls_free(HttpTls *t) {
        if (!t)
                return NULL;
        tls_context_free(t->context);
        free(t);
        return NULL;
}

bool http_tls_choose(const HttpTls *t, const ProbeConfig *config, const TargetConfig *target,
                     TlsContext **ret_context, const char **ret_name, ProbeResult *ret) {
        /* No target of the probe wants TLS. */
        if (!t) {
                *ret_context = NULL;
                *ret_name = NULL;
                return true;
        }
        if (target->tls && !t->context) {
                probe_result_set(ret, OUTCOME_LOCAL, t->words);
                return false;
        }
        *ret_context = target->tls ? t->context : NULL;
        *ret_name = config->tls.server_name ?: target->host;
        return true;
}
