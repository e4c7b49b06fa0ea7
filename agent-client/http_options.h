#ifndef BULKHEAD_AGENT_CLIENT_HTTP_OPTIONS_H
#define BULKHEAD_AGENT_CLIENT_HTTP_OPTIONS_H

#include <curl/curl.h>

#include "agent-client/http.h"

/* Sets an option unless one before it has failed, so that a list of options reads as a list. Needs `code` and
 * `easy`. */
#define SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value))

/* The headers of every call, the token's among them. Returns 0 or -ENOMEM. */
int http_options_make_headers(const struct http_settings *settings, struct curl_slist **ret_headers);

/* Zeroes and frees them. NULL is accepted. */
void http_options_free_headers(struct curl_slist *headers);

/* Sets what is the same for every call. settings must outlive the handle. */
CURLcode http_options_set(CURL *easy, const struct http_settings *settings);

#endif
