/* SPDX-License-Identifier: MIT */
/*
 * replay.c - runs a fuzzer's function once over every file of its corpus, without libFuzzer
 *
 * A finding ends the program by a sanitizer or an assert; the file's name was printed before.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes in a block of their exact size, so that a read past them is seen. */
static int replay(const char *path)
{
    FILE *f = fopen(path, "rbe");
    uint8_t *bytes = NULL;
    long size = -1;
    int ok;

    if (f && fseek(f, 0, SEEK_END) == 0)
        size = ftell(f);
    if (size >= 0) {
        rewind(f);
        bytes = malloc((size_t)size + !size);
    }
    ok = bytes && fread(bytes, 1, (size_t)size, f) == (size_t)size;
    if (ok)
        LLVMFuzzerTestOneInput(bytes, (size_t)size);
    else
        printf("could not read %s\n", path);
    free(bytes);
    if (f)
        fclose(f);
    return ok;
}

int main(int argc, char **argv)
{
    static const uint8_t none[1];
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *e;
    char path[4096];
    unsigned n = 0;
    int ok = 1;

    LLVMFuzzerTestOneInput(none, 0);
    if (!dir) {
        printf("%s: %s\n", argc == 2 ? argv[1] : "usage: replay DIR", strerror(errno));
        return 1;
    }
    while ((e = readdir(dir))) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        printf("%s\n", path);
        fflush(stdout);
        ok &= replay(path);
        n++;
    }
    closedir(dir);
    printf("%u inputs\n", n);
    return ok && n ? 0 : 1;
}
