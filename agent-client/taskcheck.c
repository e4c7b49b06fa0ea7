/*
 * From Mesos' two kinds of checks to our one.
 *
 * Mesos gives durations as seconds in a double: any value can come, and only what fits is turned into
 * nanoseconds.
 */
#include "agent-client/taskcheck.h"

#include <stdbool.h>
#include <stddef.h>

/* The upper end is beyond any life of a task; what is not a number is refused as a negative one is. */
static int64_t nanoseconds(double seconds)
{
    static const double longest = 3155760000.0; /* a hundred years */
    if (!(seconds >= 0))
        return -1;
    return (int64_t)((seconds < longest ? seconds : longest) * 1e9);
}

static void set_times(Bulkhead__Check *check, double delay, double interval, double timeout, double grace)
{
    check->has_delay = check->has_interval = check->has_timeout = check->has_grace = 1;
    check->delay = nanoseconds(delay);
    check->interval = nanoseconds(interval);
    check->timeout = nanoseconds(timeout);
    check->grace = nanoseconds(grace);
}

static Bulkhead__Check__Type infer_type(bool command, bool http, bool tcp)
{
    if (command + http + tcp != 1)
        return BULKHEAD__CHECK__TYPE__NONE;
    if (command)
        return BULKHEAD__CHECK__TYPE__COMMAND;
    return http ? BULKHEAD__CHECK__TYPE__HTTP : BULKHEAD__CHECK__TYPE__TCP;
}

/* The numbers of Mesos' types are ours, UNKNOWN and those that no version has apart. */
static Bulkhead__Check__Type known_type(int type)
{
    return type >= BULKHEAD__CHECK__TYPE__COMMAND && type <= BULKHEAD__CHECK__TYPE__TCP
               ? (Bulkhead__Check__Type)type
               : BULKHEAD__CHECK__TYPE__NONE;
}

static void set_http(Bulkhead__Check *check, const Mesos__V1__HealthCheck__HTTPCheckInfo *http)
{
    check->has_port = http->has_port;
    check->port = http->port;
    check->path = http->path;
    check->scheme = http->scheme;
    check->has_ipv6 = 1;
    check->ipv6 = http->protocol == MESOS__V1__NETWORK_INFO__PROTOCOL__IPv6;
}

static void set_tcp(Bulkhead__Check *check, const Mesos__V1__HealthCheck__TCPCheckInfo *tcp)
{
    check->has_port = tcp->has_port;
    check->port = tcp->port;
    check->has_ipv6 = 1;
    check->ipv6 = tcp->protocol == MESOS__V1__NETWORK_INFO__PROTOCOL__IPv6;
}

void taskcheck_read_health(const Mesos__V1__HealthCheck *from, Bulkhead__Check *ret_check,
                           const Mesos__V1__CommandInfo **ret_command)
{
    bulkhead__check__init(ret_check);
    ret_check->has_type = 1;
    ret_check->type = from->has_type
                          ? known_type((int)from->type)
                          : infer_type(from->command != NULL, from->http != NULL, from->tcp != NULL);
    set_times(ret_check, from->delay_seconds, from->interval_seconds, from->timeout_seconds,
              from->grace_period_seconds);
    ret_check->has_consecutive_failures = 1;
    ret_check->consecutive_failures = from->consecutive_failures;
    if (ret_check->type == BULKHEAD__CHECK__TYPE__HTTP && from->http != NULL)
        set_http(ret_check, from->http);
    if (ret_check->type == BULKHEAD__CHECK__TYPE__TCP && from->tcp != NULL)
        set_tcp(ret_check, from->tcp);
    *ret_command = ret_check->type == BULKHEAD__CHECK__TYPE__COMMAND ? from->command : NULL;
}

void taskcheck_read(const Mesos__V1__CheckInfo *from, Bulkhead__Check *ret_check,
                    const Mesos__V1__CommandInfo **ret_command)
{
    bulkhead__check__init(ret_check);
    ret_check->has_type = 1;
    ret_check->type = from->has_type
                          ? known_type((int)from->type)
                          : infer_type(from->command != NULL, from->http != NULL, from->tcp != NULL);
    set_times(ret_check, from->delay_seconds, from->interval_seconds, from->timeout_seconds, 0);
    *ret_command = NULL;
    if (ret_check->type == BULKHEAD__CHECK__TYPE__COMMAND && from->command != NULL)
        *ret_command = from->command->command;
    if (ret_check->type == BULKHEAD__CHECK__TYPE__HTTP && from->http != NULL) {
        ret_check->has_port = from->http->has_port;
        ret_check->port = from->http->port;
        ret_check->path = from->http->path;
    }
    if (ret_check->type == BULKHEAD__CHECK__TYPE__TCP && from->tcp != NULL) {
        ret_check->has_port = from->tcp->has_port;
        ret_check->port = from->tcp->port;
    }
}
