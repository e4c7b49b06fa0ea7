/*
 * A helper's title, written over its arguments.
 *
 * The kernel shows that memory as the command line, whatever is in it (proc(5), cmdline). libbsd's
 * setproctitle() does the same and copies the environment first, to have more room; the supervisor gives its
 * helpers room enough, and a library less is 20 KiB of each. It must never write beyond the arguments: what
 * follows is the environment.
 */
#include "common/title.h"

#include <stdio.h>
#include <string.h>

struct process_title process_title_init(int argc, char *const argv[])
{
    struct process_title title = {0};
    if (argc < 1)
        return title;
    title.text = argv[0];
    for (int i = 0; i < argc && argv[i] == title.text + title.size; i++)
        title.size += strlen(argv[i]) + 1;
    return title;
}

void process_title_set(const struct process_title *title, const char *text)
{
    if (title->size == 0)
        return;
    memset(title->text, 0, title->size);
    snprintf(title->text, title->size, "%s", text);
}
