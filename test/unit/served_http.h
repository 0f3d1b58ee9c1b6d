/* served_http.h: for the tests of glue/http_server: the server in a process of its own, and a raw
 * client that may be as rude as it likes. */
#pragma once

#include <stdio.h>
#include <sys/types.h>

#include "http_server.h"

#define SERVED_DEADLINE (400 * USEC_PER_MSEC)
#define SERVED_PATIENCE 30000 /* ms until a test gives up */
#define SERVED_BIG (4 * 1024 * 1024)
#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\n\r\n"

typedef struct Served {
        char directory[64], socket[96], bound[64];
        pid_t server;
        uint16_t port;
} Served;

/* Set-up and tear-down of a cmocka group: *state is a Served. The server must end cleanly. */
int served_start(void **state);
/* The same with another handler, which runs in the server's process with what `userdata` was at the
 * start. */
int served_start_handler(void **state, HttpHandler handler, void *userdata, usec_t deadline);
int served_stop(void **state);

int dial_tcp(const Served *f);
int dial_unix(const char *path);
/* False when the server has closed. */
bool say_n(int fd, const char *data, size_t n);
bool say(int fd, const char *text);
/* Reads until the server closes; returns the number of bytes, of which the first ones are in
 * `text`. */
size_t hear_all(int fd, char *text, size_t size);
/* Reads one answer by its Content-Length (`head`: without body). Returns its status. */
unsigned hear(int fd, char *text, size_t size, bool head);
unsigned ask(int fd, const char *request, char *text, size_t size);
/* A request on a connection of its own, after which the server must have closed. Returns the
 * status, 0 for a close without an answer. */
unsigned ask_last(const Served *f, const char *request, size_t n);
/* One good request on fd, which is closed. */
void assert_serves(int fd);
/* How many descriptors the server has, one of them for this question. */
unsigned served_descriptors(const Served *f);
/* Waits until they are back at their base. */
void assert_descriptors(const Served *f, unsigned base);
