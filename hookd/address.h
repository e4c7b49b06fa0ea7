#ifndef BULKHEAD_HOOKD_ADDRESS_H
#define BULKHEAD_HOOKD_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

#include "common/config.h"

enum { ADDRESS_SIZE = INET6_ADDRSTRLEN };

/*
 * The address at which this machine's services are reached: CLOUD_PUBLIC_IP, where that is the numeric
 * address of one machine, in its usual spelling. Returns whether there is one. Pure.
 */
bool address_public(const struct config *config, char address[ADDRESS_SIZE]);

#endif
