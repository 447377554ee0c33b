/* A disk that fails, for one process: loaded before the C library (LD_PRELOAD),
 * it lets operations that change files below one directory fail with an error.
 *
 *   FAULTY_DISK_ROOT     the directory
 *   FAULTY_DISK_CONTROL  a file of 64-bit numbers in the byte order of the machine,
 *                        which the test writes while the process runs:
 *                        [0] the error number
 *                        [1] the first operation that fails, counted from 1; 0: none
 *                        [2] how many fail from there on
 *                        [3] operations seen since the test set this to 0
 *                        [4] operations that failed since the test set this to 0
 *
 * What fails is not done. Operations are opening for writing, writing, changing
 * the size, syncing, and making, renaming and removing names. System calls that
 * do not go through the C library are not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static volatile uint64_t *control;
static char root[PATH_MAX];
static size_t root_length;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void)
{
    const char *directory = getenv("FAULTY_DISK_ROOT");
    const char *file = getenv("FAULTY_DISK_CONTROL");
    if (!directory || !file || !realpath(directory, root))
        return;
    root_length = strlen(root);
    int descriptor = REAL(open)(file, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return;
    void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    REAL(close)(descriptor);
    if (memory != MAP_FAILED)
        control = memory;
}

static int is_below(const char *path)
{
    return strncmp(path, root, root_length) == 0
        && (path[root_length] == '/' || path[root_length] == 0);
}

/* Whether the next operation fails; counts it. */
static int fails(void)
{
    uint64_t seen = __atomic_add_fetch(&control[3], 1, __ATOMIC_SEQ_CST);
    uint64_t first = control[1];
    if (first == 0 || seen < first || seen - first >= control[2])
        return 0;
    __atomic_add_fetch(&control[4], 1, __ATOMIC_SEQ_CST);
    errno = (int)control[0];
    return 1;
}

static int fails_at(const char *path)
{
    return control && path && is_below(path) && fails();
}

static int fails_for(int descriptor)
{
    char link[40], path[PATH_MAX];
    if (!control)
        return 0;
    int before = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    errno = before;
    if (length <= 0)
        return 0;
    path[length] = 0;
    return is_below(path) && fails();
}

static int changes(int flags)
{
    return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC));
}

#define MODE                                                                   \
    mode_t mode = 0;                                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                                       \
        va_list rest;                                                          \
        va_start(rest, flags);                                                 \
        mode = va_arg(rest, mode_t);                                           \
        va_end(rest);                                                          \
    }

#define OPEN(name)                                                             \
    int name(const char *path, int flags, ...)                                 \
    {                                                                          \
        MODE return changes(flags) && fails_at(path) ? -1                      \
                                                     : REAL(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                           \
    int name(int directory, const char *path, int flags, ...)                  \
    {                                                                          \
        MODE return changes(flags) && fails_at(path)                           \
            ? -1                                                               \
            : REAL(name)(directory, path, flags, mode);                        \
    }
OPENAT(openat)
OPENAT(openat64)

#define OF_DESCRIPTOR(result, name, parameters, ...)                           \
    result name parameters                                                     \
    {                                                                          \
        return fails_for(descriptor) ? -1 : REAL(name)(__VA_ARGS__);           \
    }
OF_DESCRIPTOR(ssize_t, write, (int descriptor, const void *bytes, size_t count), descriptor, bytes, count)
OF_DESCRIPTOR(ssize_t, pwrite, (int descriptor, const void *bytes, size_t count, off_t at), descriptor, bytes, count, at)
OF_DESCRIPTOR(ssize_t, pwrite64, (int descriptor, const void *bytes, size_t count, off64_t at), descriptor, bytes, count, at)
OF_DESCRIPTOR(ssize_t, writev, (int descriptor, const struct iovec *parts, int count), descriptor, parts, count)
OF_DESCRIPTOR(int, fsync, (int descriptor), descriptor)
OF_DESCRIPTOR(int, fdatasync, (int descriptor), descriptor)
OF_DESCRIPTOR(int, ftruncate, (int descriptor, off_t size), descriptor, size)
OF_DESCRIPTOR(int, ftruncate64, (int descriptor, off64_t size), descriptor, size)

#define OF_PATH(name, parameters, ...)                                         \
    int name parameters                                                        \
    {                                                                          \
        return fails_at(path) ? -1 : REAL(name)(__VA_ARGS__);                  \
    }
OF_PATH(unlink, (const char *path), path)
OF_PATH(rmdir, (const char *path), path)
OF_PATH(mkdir, (const char *path, mode_t mode), path, mode)
OF_PATH(rename, (const char *path, const char *to), path, to)
