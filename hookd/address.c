/*
 * CLOUD_PUBLIC_IP, read with care; see address.h.
 *
 * What is no address must never be registered as one: a service at "<nil>" or 0.0.0.0 takes requests that
 * nobody answers.
 */
#include "hookd/address.h"

#include <arpa/inet.h>

bool address_public(const struct config *config, char address[ADDRESS_SIZE])
{
    const char *text = config_string(config, CONFIG_CLOUD_PUBLIC_IP);
    struct in_addr four;
    struct in6_addr six;
    if (text == NULL)
        return false;
    if (inet_pton(AF_INET, text, &four) == 1)
        return four.s_addr != INADDR_ANY && inet_ntop(AF_INET, &four, address, ADDRESS_SIZE) != NULL;
    if (inet_pton(AF_INET6, text, &six) != 1 || IN6_IS_ADDR_UNSPECIFIED(&six))
        return false;
    return inet_ntop(AF_INET6, &six, address, ADDRESS_SIZE) != NULL;
}
