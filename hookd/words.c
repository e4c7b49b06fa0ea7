/*
 * The words in which hookd tells how a process ended. For people; no program is to read them.
 */
#include "hookd/words.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common/duration.h"

const char *words_for_end(int wait_status, char *text, size_t size)
{
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        const char *name = sigdescr_np(number);
        snprintf(text, size, "killed by signal %d (%s)", number, name != NULL ? name : "unknown");
    } else {
        snprintf(text, size, "exited with code %d", WEXITSTATUS(wait_status));
    }
    return text;
}

const char *words_for_timeout(const char *what, int64_t span, char *text, size_t size)
{
    char duration[DURATION_TEXT_SIZE];
    int64_t shown = (span + DURATION_MILLISECOND / 2) / DURATION_MILLISECOND * DURATION_MILLISECOND;
    snprintf(text, size, "%s %s", what, duration_format(shown, duration, sizeof(duration)));
    return text;
}
