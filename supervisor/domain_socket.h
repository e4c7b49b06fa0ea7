#ifndef BULKHEAD_SUPERVISOR_DOMAIN_SOCKET_H
#define BULKHEAD_SUPERVISOR_DOMAIN_SOCKET_H

/*
 * Connects to a Unix stream socket whatever the length of its path. Returns a close-on-exec descriptor, or a
 * negative errno
 * (-EAGAIN when the listener's queue is full, -ECONNREFUSED when nobody listens). Does not block.
 */
int domain_socket_connect(const char *path);

#endif
