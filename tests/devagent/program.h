/* `devagent` as a program. */
#ifndef BULKHEAD_TESTS_DEVAGENT_PROGRAM_H
#define BULKHEAD_TESTS_DEVAGENT_PROGRAM_H

#include "tests/devagent/options.h"

/* Does what the settings say, printing to stdout. Returns the exit code. */
int program_run(struct settings *settings);

#endif
