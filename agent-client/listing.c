/*
 * The list that goes with a SUBSCRIBE, while the supervisor dictates it.
 *
 * It lives from the attempt until the call is made: this process keeps nothing that the supervisor would have
 * to trust it with. Order is what matters here: the agent takes updates in the order of the list.
 */
#include "agent-client/listing.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element. */
static int grow(void **array, size_t element, size_t count, size_t *room)
{
    if (count < *room)
        return 0;
    size_t wanted = *room > 0 ? *room * 2 : 4;
    void *larger = wanted <= SIZE_MAX / element ? realloc(*array, wanted * element) : NULL;
    if (larger == NULL)
        return -ENOMEM;
    *array = larger;
    *room = wanted;
    return 0;
}

int listing_add_task(struct listing *listing, const ProtobufCBinaryData *raw)
{
    void *tasks = listing->tasks;
    int r = grow(&tasks, sizeof(*listing->tasks), listing->task_count, &listing->task_room);
    if (r < 0)
        return r;
    listing->tasks = tasks;
    uint8_t *copy = malloc(raw->len + 1); /* an empty one is no error here */
    if (copy == NULL)
        return -ENOMEM;
    if (raw->len > 0)
        memcpy(copy, raw->data, raw->len);
    listing->tasks[listing->task_count++] = (ProtobufCBinaryData){.len = raw->len, .data = copy};
    return 0;
}

static Bulkhead__Update *copy_update(const Bulkhead__Update *update)
{
    size_t size = bulkhead__update__get_packed_size(update);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        return NULL;
    bulkhead__update__pack(update, bytes);
    Bulkhead__Update *copy = bulkhead__update__unpack(NULL, size, bytes);
    free(bytes);
    return copy;
}

int listing_add_update(struct listing *listing, const Bulkhead__Update *update)
{
    void *updates = listing->updates;
    int r = grow(&updates, sizeof(Bulkhead__Update *), listing->update_count, &listing->update_room);
    if (r < 0)
        return r;
    listing->updates = updates;
    Bulkhead__Update *copy = copy_update(update);
    if (copy == NULL)
        return -ENOMEM;
    listing->updates[listing->update_count++] = copy;
    return 0;
}

struct call_list listing_view(const struct listing *listing)
{
    return (struct call_list){
        .tasks = listing->tasks,
        .task_count = listing->task_count,
        .updates = listing->updates,
        .update_count = listing->update_count,
    };
}

void listing_clear(struct listing *listing)
{
    if (listing == NULL)
        return;
    for (size_t i = 0; i < listing->task_count; i++)
        free(listing->tasks[i].data);
    for (size_t i = 0; i < listing->update_count; i++)
        bulkhead__update__free_unpacked(listing->updates[i], NULL);
    free(listing->tasks);
    free(listing->updates);
    *listing = (struct listing){0};
}
