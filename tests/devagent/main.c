/* devagent: a Mesos agent for one executor, for people. See devagent --help; everything is done elsewhere. */
#include "tests/devagent/options.h"
#include "tests/devagent/program.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    static struct settings settings;
    char *error = NULL;
    int code = 2;
    int r = settings_parse(&settings, argc, argv, &error);
    if (r < 0) {
        fprintf(stderr, "devagent: %s\n", error ? error : "out of memory");
        free(error);
    } else if (settings.help) {
        settings_help(stdout);
        code = 0;
    } else {
        code = program_run(&settings);
    }
    settings_clear(&settings);
    return code;
}
