/*
 * Runs a fuzz target over stored inputs, for builds without libFuzzer: every regular file named, or in a
 * folder named, on the command line. A folder without inputs, or one that is missing, is a failure: a check
 * that looked at nothing must not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One input, in a block of exactly its size, so that the address sanitizer sees a read past its end. */
static int run_file(const char *path, off_t size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc((size_t)size + (size == 0));
    int r = -1;

    if (file != NULL && data != NULL && fread(data, 1, (size_t)size, file) == (size_t)size) {
        LLVMFuzzerTestOneInput(data, (size_t)size);
        r = 0;
    } else {
        fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    }
    free(data);
    if (file != NULL)
        fclose(file);
    return r;
}

static long run_path(const char *path);

/* How many inputs ran, or -1. */
static long run_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    long count = 0;

    if (folder == NULL) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    while (count >= 0 && (entry = readdir(folder)) != NULL) {
        char child[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
        long n = run_path(child);
        count = n < 0 ? -1 : count + n;
    }
    closedir(folder);
    if (count == 0) {
        fprintf(stderr, "%s: no input in it\n", path);
        return -1;
    }
    return count;
}

static long run_path(const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    if (S_ISDIR(status.st_mode))
        return run_folder(path);
    return run_file(path, status.st_size) < 0 ? -1 : 1;
}

int main(int argc, char **argv)
{
    long count = 0;

    if (argc < 2) {
        fprintf(stderr, "usage: %s FILE-OR-FOLDER...\n", argv[0]);
        return 2;
    }
    for (int i = 1; i < argc; i++) {
        long n = run_path(argv[i]);
        if (n < 0)
            return 1;
        count += n;
    }
    printf("%ld inputs ran\n", count);
    return 0;
}
