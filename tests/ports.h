/* SPDX-License-Identifier: MIT */
/*
 * ports.h - ports for servers that tests start, and start again at the same ones
 *
 * Below those that the system gives to outgoing connections, any of which could take the port of a
 * server while that is down.
 */
#ifndef TG_TEST_PORTS_H
#define TG_TEST_PORTS_H

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static inline bool port_is_free(int port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool free = bind(fd, (struct sockaddr *)&a, sizeof a) == 0;

    close(fd);
    return free;
}

/* @return the first of n in a row that nobody listens on */
static inline int free_ports(int n)
{
    for (int tries = 0, i; tries < 1000; tries++) {
        unsigned drawn = 0;
        int first;

        assert_int_equal(getrandom(&drawn, sizeof drawn, 0), sizeof drawn);
        first = 20000 + (int)(drawn % 12000);
        for (i = 0; i < n && port_is_free(first + i);)
            i++;
        if (i == n)
            return first;
    }
    fail_msg("no free ports");
    return 0;
}

#endif
