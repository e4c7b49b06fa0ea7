/*
 * What a stranger at Consul's address can send, and what a record's key can be: the first two bytes are the
 * status, the rest is the body, and then a key, and then an id. Beyond not crashing: only 200 is a
 * registration done; words are one line of printable ASCII without the secret; a key that is read is written
 * the same; an id, once mended, stays as it is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hookd/consul_api.h"
#include "hookd/consul_service.h"
#include "hookd/phrase.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "s3cret";

static void check_answer(long status, const char *body, size_t size)
{
    char text[256] = "";
    enum consul_outcome registered = consul_classify(CONSUL_REGISTER, status, body, size);
    enum consul_outcome deregistered = consul_classify(CONSUL_DEREGISTER, status, body, size);
    if ((registered == CONSUL_DONE) != (status == 200))
        abort();
    if (deregistered == CONSUL_DONE && status != 200 && status != 404 && status != 500)
        abort();
    phrase_add_excerpt(text, sizeof(text), body, size, secret);
    for (const char *c = text; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            abort();
    if (strstr(text, secret) != NULL)
        abort();
}

/* Only a namespace that is written as we write it comes back the same; an id always does. */
static void check_key(const char *key)
{
    char namespace[3 * 255 + 1];
    char again[CONSUL_KEY_MAX];
    char other_namespace[3 * 255 + 1];
    const char *id = NULL;
    const char *other_id = NULL;
    if (consul_key_read(key, namespace, &id) < 0)
        return;
    if (id[0] == '\0' || strlen(namespace) >= sizeof(namespace))
        abort();
    if (consul_key_write(NULL, id, again) == 0 &&
        (consul_key_read(again, other_namespace, &other_id) < 0 || strcmp(id, other_id) != 0))
        abort();
}

static void check_id(char *id)
{
    size_t length = strlen(id);
    consul_id_mend(id);
    if (strlen(id) != length || id[0] == '/' || strstr(id, "//") != NULL || strstr(id, "/./") != NULL ||
        strstr(id, "/../") != NULL || consul_id_mend(id))
        abort();
}

static void check_address(const char *address)
{
    char *base = NULL;
    char *unix_socket = NULL;
    if (consul_address_read(address, false, &base, &unix_socket) == 0 && strncmp(base, "http", 4) != 0)
        abort();
    free(base);
    free(unix_socket);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    char *body = malloc(size - 1);
    memcpy(body, data + 2, size - 2);
    body[size - 2] = '\0';
    check_answer(data[0] * 256L + data[1], body, size - 2);
    check_key(body);
    check_address(body);
    check_id(body);
    free(body);
    return 0;
}
