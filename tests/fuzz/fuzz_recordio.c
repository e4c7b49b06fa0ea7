/*
 * The agent's event stream: RecordIO and, for each record, the event in it. The first byte says into pieces
 * of which size the rest is cut. Beyond not crashing: the records are those that the uncut stream has,
 * whatever goes to the supervisor is within its message's limit, and the supervisor can read it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent-client/event.h"
#include "agent-client/recordio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1024 * 1024 };

/* A number that stands for all records so far, their order and how it ended. */
struct digest {
    uint64_t value;
    size_t records;
};

static void mix(struct digest *digest, const unsigned char *data, size_t size)
{
    digest->value = (digest->value ^ size) * UINT64_C(1099511628211);
    for (size_t i = 0; i < size; i++)
        digest->value = (digest->value ^ data[i]) * UINT64_C(1099511628211);
    digest->records++;
}

static int emit(void *arg, enum message_type type, const ProtobufCMessage *body)
{
    (void)arg;
    const struct message_definition *definition = message_find((uint16_t)type);
    size_t size = protobuf_c_message_get_packed_size(body);
    if (definition == NULL || size > definition->largest || body->descriptor != definition->body)
        abort();
    uint8_t *bytes = malloc(size + 1);
    ProtobufCMessage *copy = NULL;
    protobuf_c_message_pack(body, bytes);
    if (message_decode((uint16_t)type, bytes, size, &copy) < 0)
        abort();
    protobuf_c_message_free_unpacked(copy, NULL);
    free(bytes);
    return 0;
}

static void translate(const struct recordio_record *record)
{
    struct event_report report;
    if (event_translate(record->data, record->size, emit, NULL, &report) < 0)
        return;
    if (report.name == NULL || (report.outcome == EVENT_SKIPPED && report.text == NULL))
        abort();
    event_report_clear(&report);
}

/* Each piece in a block of its own, so that the address sanitizer sees what is read or kept beyond it. */
static int feed(struct recordio *recordio, const uint8_t *data, size_t size, struct digest *digest)
{
    unsigned char *piece = malloc(size + 1);
    memcpy(piece, data, size);
    const unsigned char *input = piece;
    struct recordio_record record;
    int r;
    while ((r = recordio_next(recordio, &input, &size, &record)) > 0) {
        mix(digest, record.data, record.size);
        translate(&record);
    }
    if (r == 0 && size != 0)
        abort();
    free(piece);
    return r;
}

static struct digest decode(const uint8_t *data, size_t size, size_t piece)
{
    struct digest digest = {0};
    struct recordio recordio;
    recordio_init(&recordio, LIMIT);
    int r = 0;
    while (r == 0 && size > 0) {
        size_t length = size < piece ? size : piece;
        r = feed(&recordio, data, length, &digest);
        data += length;
        size -= length;
    }
    digest.value += (uint64_t)(int64_t)r;
    recordio_clear(&recordio);
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    size_t piece = (size_t)data[0] + 1;
    struct digest cut = decode(data + 1, size - 1, piece);
    struct digest whole = decode(data + 1, size - 1, size);
    if (cut.value != whole.value || cut.records != whole.records)
        abort();
    return 0;
}
