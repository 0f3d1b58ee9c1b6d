#include <fcntl.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tls_site.h"

TlsSite tls_site;

static char directory[64];

/* One shell script per group: the openssl command is what people use. */
static const char commands[] =
        "set -e; cd \"$1\"; exec >/dev/null 2>&1\n"
        "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
        "ca() { openssl req -x509 $new -keyout $1.key -out $1.pem -days 30 -subj \"/CN=$1\"; }\n"
        "ca ca; ca other\n"
        "request() { openssl req $new -keyout $1.key -out $1.csr -subj \"/CN=$1\" -addext "
        "\"subjectAltName=$2\"; }\n"
        "sign() { openssl x509 -req -in $1.csr -CA $2.pem -CAkey $2.key -days $3 -copy_extensions "
        "copyall -out $4.pem; }\n"
        "request good DNS:localhost,IP:127.0.0.1,IP:::1\n"
        "sign good ca 30 good; sign good ca -1 expired\n"
        "openssl req -x509 -key good.key -out self.pem -days 30 -subj /CN=self -addext "
        "subjectAltName=IP:127.0.0.1\n"
        "cp good.key self.key; cp good.key expired.key; cp good.key early.key\n"
        "request elsewhere DNS:elsewhere.example,IP:192.0.2.1; sign elsewhere ca 30 elsewhere\n"
        "request client DNS:probe; sign client ca 30 client\n"
        "request stranger DNS:probe; sign stranger other 30 stranger\n"
        "cat stranger.key >>stranger.pem\n"
        "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index\\nserial=serial\\nnew_certs_dir=.\\n"
        "default_md=sha256\\npolicy=p\\ncertificate=ca.pem\\nprivate_key=ca.key\\n"
        "copy_extensions=copy\\n[p]\\ncommonName=supplied\\n' >ca.conf\n"
        ": >index; echo 77 >serial\n"
        "openssl ca -batch -config ca.conf -in good.csr -out early.pem -notext -startdate "
        "20800101000000Z -enddate 20810101000000Z\n"
        "chmod o-rwx client.key\n";

static void run(const char *script) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                execl("/bin/sh", "sh", "-c", script, "sh", directory, NULL);
                _exit(127);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int tls_site_set_up(void **state _unused_) {
        (void)snprintf(directory, sizeof directory, "/tmp/tls-site-XXXXXX");
        assert_non_null(mkdtemp(directory));
        run(commands);
        return 0;
}

int tls_site_tear_down(void **state _unused_) {
        run("rm -rf \"$1\"");
        return 0;
}

const char *tls_site_path(const char *name) {
        static char paths[8][128];
        static unsigned next;
        char *path = paths[next++ % ELEMENTSOF(paths)];

        (void)snprintf(path, sizeof paths[0], "%s/%s", directory, name);
        return path;
}

void tls_site_copy(const char *from, const char *to) {
        char script[256];

        (void)snprintf(script, sizeof script, "cp \"$1\"/%s \"$1\"/%s", from, to);
        run(script);
}

/* In the server's process, made at its first connection. */
static SSL_CTX *context(void) {
        static SSL_CTX *c;

        if (c)
                return c;
        c = SSL_CTX_new(TLS_server_method());
        if (tls_site.version != 0) {
                SSL_CTX_set_min_proto_version(c, tls_site.version);
                SSL_CTX_set_max_proto_version(c, tls_site.version);
        }
        if (tls_site.version != 0 && tls_site.version < TLS1_2_VERSION)
                SSL_CTX_set_cipher_list(c, "DEFAULT@SECLEVEL=0");
        SSL_CTX_set_session_id_context(c, (const unsigned char *)"site", 4);
        if (tls_site.demands) {
                SSL_CTX_load_verify_file(c, tls_site_path("ca.pem"));
                SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        }
        if (SSL_CTX_use_certificate_chain_file(c, tls_site_path(tls_site.certificate)) != 1 ||
            SSL_CTX_use_PrivateKey_file(c, tls_site_path(tls_site.key), SSL_FILETYPE_PEM) != 1)
                _exit(3);
        return c;
}

void *tls_site_accept(int fd) {
        SSL *ssl = SSL_new(context());

        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1)
                return ssl;
        SSL_free(ssl);
        shutdown(fd, SHUT_WR);
        script_wait_close(fd);
        return NULL;
}

bool tls_site_hear(void *ssl, bool *ret_last) {
        char text[4096];
        size_t n = 0;

        do {
                int k = SSL_read(ssl, text + n, (int)(sizeof text - 1 - n));

                if (k <= 0)
                        return false;
                n += (size_t)k;
                text[n] = '\0';
        } while (!strstr(text, "\r\n\r\n"));
        *ret_last = strstr(text, "\r\nConnection: close\r\n");
        return true;
}

void tls_site_say(void *ssl, const char *text) {
        (void)SSL_write(ssl, text, (int)strlen(text));
}

bool tls_site_resumed(const void *ssl) {
        return SSL_session_reused(ssl);
}

void tls_site_hang_up(void *ssl, bool farewell) {
        if (ssl && farewell)
                (void)SSL_shutdown(ssl);
        SSL_free(ssl);
}
