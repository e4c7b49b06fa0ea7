#ifndef BULKHEAD_HOOKD_VAAS_BACKEND_H
#define BULKHEAD_HOOKD_VAAS_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "hookd/address.h"
#include "proto/bulkhead.pb-c.h"

/* What a task is in VaaS: one backend of a director. Everything here is pure. */
enum {
    VAAS_NAME_MAX = 1024,
    VAAS_KEY_MAX = 3 * VAAS_NAME_MAX + 256, /* a record's key, its NUL included */
};

#define VAAS_API "/api/v0.1/"

/* Enough to find a backend again and to remove it. */
struct vaas_backend {
    int64_t id;          /* 0 while it is not known */
    int64_t director_id; /* 0 while it is not known */
    uint32_t port;
    char address[ADDRESS_SIZE];
    char director[VAAS_NAME_MAX + 1]; /* its name */
};

/* What else a new backend is made with. */
struct vaas_traits {
    bool has_weight;
    int64_t weight;
    bool canary;
};

/* A data centre as VaaS describes it; handed back as it came. */
struct vaas_dc {
    int64_t id;
    char *name, *symbol, *resource_uri;
};

void vaas_dc_clear(struct vaas_dc *dc);

/*
 * The backend that a task with the label "director" asks for: that director's name, the port with the label
 * "frontend-sync:<director>" or else the first, this machine's address. Returns 0, or -EINVAL with
 * *ret_problem saying what is missing (a constant).
 */
int vaas_backend_make(const struct config *config, const Bulkhead__Task *task,
                      struct vaas_backend *ret_backend, const char **ret_problem);

/*
 * weight: the task's variable VAAS_INITIAL_WEIGHT, or else the first label "weight:<n>" with the value "tag";
 * none where that is no number. canary: whether the label of that name has a value.
 */
struct vaas_traits vaas_traits_make(const Bulkhead__Task *task);

/* The body of POST backend/, malloc'd. Returns 0 or -ENOMEM. */
int vaas_backend_json(const struct vaas_backend *backend, const struct vaas_traits *traits,
                      const struct vaas_dc *dc, char **ret_json);

/*
 * The key of a backend's record: "1 backend=ID director=ID port=N address=A name=NAME", the name escaped as
 * in a path. vaas_key_read() returns 0, or -EINVAL for a key that vaas_key_write() has not made;
 * vaas_key_write() 0 or -ENOMEM.
 */
int vaas_key_write(const struct vaas_backend *backend, char key[VAAS_KEY_MAX]);
int vaas_key_read(const char *key, struct vaas_backend *ret_backend);

#endif
