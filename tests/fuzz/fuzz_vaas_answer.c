/*
 * What a stranger at VaaS's address can send, and what a record's key can be: the input is read as each kind
 * of answer, as a Location and as a key. Beyond not crashing: what is found has an id, what is to be asked
 * for next begins with the API's path and cannot leave it, and a key that is read is written so that it reads
 * the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hookd/vaas_answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
    if (strncmp(path, VAAS_API, strlen(VAAS_API)) != 0 || strpbrk(path, " \r\n\t#") != NULL ||
        strstr(path, "/..") != NULL)
        abort();
}

static void check_next(char *next)
{
    if (next != NULL)
        check_path(next);
    free(next);
}

static void check_lists(const char *body, size_t size)
{
    const struct vaas_backend wanted = {.director_id = 4, .port = 80, .address = "10.1.2.3"};
    struct vaas_dc dc = {0};
    struct vaas_ids ids = {.count = 0};
    int64_t id = 0;
    char *next = NULL;
    if (vaas_answer_dc(body, size, "dc6", &dc, &next) > 0 && (dc.id <= 0 || strcmp(dc.symbol, "dc6") != 0))
        abort();
    vaas_dc_clear(&dc);
    check_next(next);
    next = NULL;
    if (vaas_answer_director(body, size, "d1", &id, &next) > 0 && id <= 0)
        abort();
    check_next(next);
    next = NULL;
    vaas_answer_backends(body, size, &wanted, &ids, &next);
    check_next(next);
    for (size_t i = 0; i < ids.count; i++)
        if (ids.ids[i] <= 0)
            abort();
}

static void check_objects(const char *body, size_t size)
{
    char words[VAAS_WORDS_MAX];
    enum vaas_task_state state;
    if (vaas_answer_created(body, size) < 0)
        abort();
    vaas_answer_task(body, size, &state, words);
    for (const char *c = words; *c != '\0'; c++)
        if (*c < ' ' || *c > '~')
            abort();
}

static void check_key(const char *text)
{
    struct vaas_backend backend;
    struct vaas_backend again;
    char key[VAAS_KEY_MAX];
    if (vaas_key_read(text, &backend) < 0)
        return;
    if (vaas_key_write(&backend, key) < 0 || vaas_key_read(key, &again) < 0 || again.id != backend.id ||
        again.director_id != backend.director_id || again.port != backend.port ||
        strcmp(again.address, backend.address) != 0 || strcmp(again.director, backend.director) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    check_lists(text, size);
    check_objects(text, size);
    check_key(text);
    const char *path = vaas_answer_path(text);
    if (path != NULL) {
        check_path(path);
        if (vaas_answer_path_id(path, "backend") < 0)
            abort();
    }
    free(text);
    return 0;
}
