/*
 * Lists, strings, base64 and durations for the other files of devagent. Running out of memory ends the
 * program: nothing here has to survive that. Never grows into a library: what more than one program needs
 * belongs to common/.
 */
#include "tests/devagent/agent.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void *agent_alloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        abort();
    return memory;
}

char *agent_copy(const char *text)
{
    return text ? agent_copy_bytes(text, strlen(text) + 1) : NULL;
}

void *agent_copy_bytes(const void *data, size_t len)
{
    void *copy = agent_alloc(len);
    if (len > 0)
        memcpy(copy, data, len);
    return copy;
}

char *agent_format(const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    int r = vasprintf(&text, format, args);
    va_end(args);
    if (r < 0)
        abort();
    return text;
}

void list_add(struct list *list, void *item)
{
    if (list->count == list->room) {
        list->room = list->room ? list->room * 2 : 8;
        list->items = reallocarray(list->items, list->room, sizeof(*list->items));
        if (!list->items)
            abort();
    }
    list->items[list->count++] = item;
}

void list_remove(struct list *list, size_t index)
{
    list->count--;
    memmove(&list->items[index], &list->items[index + 1], (list->count - index) * sizeof(*list->items));
}

void list_clear(struct list *list, void (*free_item)(void *item))
{
    for (size_t i = 0; free_item && i < list->count; i++)
        free_item(list->items[i]);
    free(list->items);
    *list = (struct list){0};
}

const char *agent_keep(struct devagent *agent, char *text)
{
    if (text)
        list_add(&agent->strings, text);
    return text;
}

char *base64url_encode(const void *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *in = data;
    char *text = agent_alloc(len / 3 * 4 + 5), *out = text;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint32_t group = (uint32_t)in[i] << 16;
        group |= left > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        group |= left > 2 ? in[i + 2] : 0;
        for (size_t k = 0; k <= left; k++)
            *out++ = digits[group >> (18 - 6 * k) & 63];
    }
    return text;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

int base64_decode(const char *text, uint8_t **ret_data, size_t *ret_len)
{
    size_t chars = strcspn(text, "=");
    if (strspn(text + chars, "=") != strlen(text + chars) || strlen(text + chars) > 2 || chars % 4 == 1)
        return -EINVAL;
    uint8_t *data = agent_alloc(chars / 4 * 3 + 3);
    size_t len = 0;
    uint32_t bits = 0;
    for (size_t i = 0; i < chars; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0) {
            free(data);
            return -EINVAL;
        }
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 > 0)
            data[len++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    *ret_data = data;
    *ret_len = len;
    return 0;
}

char *duration_print(int64_t span_ms)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{604800000, "weeks"}, {86400000, "days"}, {3600000, "hrs"},
                 {60000, "mins"},      {1000, "secs"},     {1, "ms"}};
    size_t i = 0;
    while (i < sizeof(units) / sizeof(units[0]) - 1 && span_ms < units[i].ms)
        i++;
    /* 90secs, not 1.5mins: one unit down where that makes it a whole number.
     * (3rdparty/stout/include/stout/duration.hpp) */
    if (i < sizeof(units) / sizeof(units[0]) - 1 && span_ms % units[i].ms != 0 &&
        span_ms % units[i + 1].ms == 0)
        i++;
    return agent_format("%.15g%s", (double)span_ms / (double)units[i].ms, units[i].name);
}
