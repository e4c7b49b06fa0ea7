#ifndef BULKHEAD_AGENT_CLIENT_LIBCURL_H
#define BULKHEAD_AGENT_CLIENT_LIBCURL_H

#include <stdbool.h>

/*
 * Prepares libcurl for this process; once, before anything else of it is used. Without tls no https URL can
 * be used afterwards. Returns 0 or -ENOMEM.
 */
int libcurl_prepare(bool tls);

#endif
