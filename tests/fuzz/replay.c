/* Runs one fuzz target over the files of the folders named on the command line. */
#include "base/fs.h"
#include "base/json.h"
#include "tests/fuzz/fuzz.h"
#include <stdio.h>
#include <string.h>

#define FILE_MAX ((size_t)1024 * 1024) /* corpora hold small files */

struct folder {
    int fd;
    const char *path;
    unsigned count;
};

static int
replay(void *arg, const char *name)
{
    struct folder *f = arg;
    AUTO(buf_release) struct buf b;
    buf_init(&b, FILE_MAX);
    int code = fs_read_file(f->fd, name, &b);
    if (code < 0) {
        (void)fprintf(stderr, "%s/%s: not readable (%d)\n", f->path, name, code);
        return code;
    }
    /* Its own block of exactly that size, as libFuzzer gives it. */
    uint8_t *data = mem_alloc(b.len + (b.len == 0));
    if (b.len > 0)
        memcpy(data, b.data, b.len);
    (void)LLVMFuzzerTestOneInput(data, b.len);
    mem_free(data);
    f->count++;
    return 0;
}

int
main(int argc, char **argv)
{
    unsigned count = 0;
    for (int i = 1; i < argc; i++) {
        struct folder f = {.fd = -1, .path = argv[i]};
        int code = fs_open_dir(argv[i], false, &f.fd);
        if (code == 0)
            code = fs_each(f.fd, replay, &f);
        fd_close(&f.fd);
        if (code < 0) {
            (void)fprintf(stderr, "%s: error %d\n", argv[i], code);
            return 1;
        }
        count += f.count;
    }
    (void)printf("%s: %u inputs\n", argv[0], count);
    return count > 0 ? 0 : 1;
}
