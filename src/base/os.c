/* The operating system: clock, files, floating-point mode, terminal; limits are in os_limits.c.
 *
 * With os_limits.c the only file of the project that calls the system (POSIX and Linux); another
 * system needs another one of these. Messages name the path and the system's reason. Keeps no state
 * but a counter for names of temporary files: thread-safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "base/base.h"

/* ---- clock ---- */

uint64_t tr_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

double tr_now(void) {
    return (double)tr_now_ns() * 1e-9;
}

/* ---- reading ---- */

/* open(2) that a signal does not disturb. */
static int open_file(const char *path, int flags) {
    int file;
    do file = open(path, flags | O_CLOEXEC, 0666);
    while (file < 0 && errno == EINTR);
    return file;
}

int tr_map(const char *path, tr_mapping *out, tr_error *err) {
    *out = (tr_mapping){0};
    struct stat info;
    int code;
    int file = open_file(path, O_RDONLY | O_NONBLOCK); /* opening a pipe must not wait */
    if (file < 0) return tr_fail(err, TR_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(file, &info)) {
        code = tr_fail(err, TR_EIO, "%s: cannot read: %s", path, strerror(errno));
        goto fail;
    }
    if (!S_ISREG(info.st_mode)) {
        code = tr_fail(err, TR_EIO, "%s: is %s, not a file", path,
                       S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
        goto fail;
    }
    if ((uintmax_t)info.st_size > PTRDIFF_MAX) {
        code =
            tr_fail(err, TR_EIO, "%s: too large to map (%jd bytes)", path, (intmax_t)info.st_size);
        goto fail;
    }
    if (info.st_size > 0) { /* the system refuses to map nothing */
        void *data = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (data == MAP_FAILED) {
            code = tr_fail(err, TR_EIO, "%s: cannot map: %s", path, strerror(errno));
            goto fail;
        }
        out->data = data;
        out->size = (size_t)info.st_size;
    }
    code = TR_OK;
fail:
    close(file);
    return code;
}

void tr_unmap(tr_mapping *mapping) {
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (tr_mapping){0};
}

/* ---- writing ---- */

static int write_all(int file, const void *data, size_t bytes) {
    const char *next = data;
    while (bytes > 0) {
        ssize_t n = write(file, next, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n == 0) errno = EIO; /* no progress and no reason: do not try for ever */
        if (n <= 0) return -1;
        next += n;
        bytes -= (size_t)n;
    }
    return 0;
}

static int flush(int file) {
    int failed;
    do failed = fsync(file);
    while (failed && errno == EINTR);
    return failed;
}

/* The bytes of `path` up to its last '/', with it; 0: a name in the current folder. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Create a file next to `path`, named .NAME.tmp.PID.COUNT: hidden, so that a half-made one is taken
 * for nothing else, and in the same folder, so that rename is atomic. A name that is taken belongs
 * to a killed run (or to another machine on the same disk) and is left alone. Returns the
 * descriptor and the name (tr_free), or -1 with errno; ENOMEM where there is no memory for the
 * name. */
static int create_beside(const char *path, char **name) {
    static atomic_uint counter;
    enum {
        SUFFIX = 64,
        TRIES = 100,
        NAME_PART = 200
    }; /* NAME_PART: a name has 255 bytes at most */
    size_t folder = folder_length(path);
    size_t bytes = folder + NAME_PART + SUFFIX;
    char *temporary = tr_alloc(bytes, 1, NULL);
    if (!temporary) {
        errno = ENOMEM;
        return -1;
    }
    memcpy(temporary, path, folder);
    int file = -1;
    for (int i = 0; i < TRIES && file < 0 && (i == 0 || errno == EEXIST); i++) {
        snprintf(temporary + folder, bytes - folder, ".%.*s.tmp.%ld.%u", NAME_PART, path + folder,
                 (long)getpid(), atomic_fetch_add(&counter, 1));
        file = open_file(temporary, O_WRONLY | O_CREAT | O_EXCL);
    }
    if (file < 0) {
        int reason = errno;
        tr_free(temporary);
        errno = reason;
        return -1;
    }
    *name = temporary;
    return file;
}

/* Make a folder's list of names durable. Some file systems cannot and say EINVAL: then there is
 * nothing more to do. */
static int flush_folder(const char *folder) {
    int file = open_file(folder, O_RDONLY | O_DIRECTORY);
    if (file < 0) return -1;
    int failed = flush(file) && errno != EINVAL;
    int reason = errno;
    close(file);
    errno = reason;
    return failed ? -1 : 0;
}

static int io_failure(tr_error *err, const char *path, const char *what, int reason) {
    return tr_fail(err, reason == ENOMEM ? TR_ENOMEM : TR_EIO, "%s: cannot %s: %s", path, what,
                   strerror(reason));
}

int tr_save(const char *path, const void *data, size_t bytes, tr_error *err) {
    char *temporary = NULL;
    const char *step = "write";
    int reason;
    int file = create_beside(path, &temporary);
    if (file < 0) return io_failure(err, path, "create", errno);
    if (write_all(file, data, bytes)) goto fail;
    step = "flush";
    if (flush(file)) goto fail;
    step = "close";
    int closed = close(file);
    file = -1;
    if (closed && errno != EINTR) goto fail;
    step = "put in place";
    if (rename(temporary, path)) goto fail;
    /* From here on the new file is there, whole; only a power failure could still undo it. */
    temporary[folder_length(temporary)] = 0;
    reason = flush_folder(*temporary ? temporary : ".") ? errno : 0;
    tr_free(temporary);
    return reason ? io_failure(err, path, "flush the folder of", reason) : TR_OK;

fail:
    reason = errno;
    if (file >= 0) close(file);
    unlink(temporary);
    tr_free(temporary);
    return io_failure(err, path, step, reason);
}

int tr_append(const char *path, const char *text, tr_error *err) {
    int code = TR_OK;
    int file = open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    if (file < 0) return io_failure(err, path, "open", errno);
    struct stat before;
    bool known = fstat(file, &before) == 0 && S_ISREG(before.st_mode);
    if (write_all(file, text, strlen(text))) {
        code = io_failure(err, path, "write", errno);
        /* A full disk may have taken half a line: readers of the file expect whole ones. Where even
         * this fails, the first failure is still what the caller hears of. */
        if (known && ftruncate(file, before.st_size)) known = false;
    }
    if (close(file) && errno != EINTR && code == TR_OK)
        code = io_failure(err, path, "close", errno);
    return code;
}

/* ---- folders ---- */

bool tr_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool tr_is_folder(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

int tr_make_folder(const char *path, tr_error *err) {
    if (!*path) return tr_fail(err, TR_EIO, "a folder without a name cannot be made");
    int code = TR_OK;
    char *part = tr_strdup(path, err);
    if (!part) return TR_ENOMEM;
    for (char *end = part + 1; code == TR_OK; end++) {
        if (*end && *end != '/') continue;
        char rest = *end;
        *end = 0;
        if (mkdir(part, 0777)) {
            int reason = errno; /* an existing folder may also answer EROFS or EACCES */
            if (!tr_is_folder(part))
                code = tr_fail(err, TR_EIO, "%s: cannot make the folder: %s", part,
                               reason == EEXIST ? "a file has this name" : strerror(reason));
        }
        if (!rest) break;
        *end = rest;
    }
    tr_free(part);
    return code;
}

int tr_make_new_folder(const char *path, tr_error *err) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/')
        length--; /* now: the folder above, with its '/' */
    if (length > 0) {
        char *above = tr_strdup(path, err);
        if (!above) return TR_ENOMEM;
        above[length] = 0;
        int code = tr_make_folder(above, err);
        tr_free(above);
        if (code) return code;
    }
    if (mkdir(path, 0777) == 0) return TR_OK;
    if (errno == EEXIST) return 1;
    return tr_fail(err, TR_EIO, "%s: cannot make the folder: %s", path, strerror(errno));
}

int tr_check_writable(const char *folder, tr_error *err) {
    size_t length = strlen(folder);
    static const char probe_name[] = "/probe";
    char *probe = tr_alloc(length + sizeof probe_name, 1, err), *temporary = NULL;
    if (!probe) return TR_ENOMEM;
    memcpy(probe, folder, length);
    memcpy(probe + length, probe_name, sizeof probe_name);
    int file = create_beside(probe, &temporary);
    int reason = errno;
    tr_free(probe);
    if (file < 0) return io_failure(err, folder, "create files here", reason);
    close(file);
    unlink(temporary);
    tr_free(temporary);
    return TR_OK;
}

/* ---- floating point, terminal ---- */

void tr_flush_subnormals(void) {
#if defined(__SSE2__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control |= (uint64_t)1 << 24; /* FZ: both ways */
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
#endif
}

bool tr_is_terminal(int descriptor) {
    return isatty(descriptor) == 1;
}

int tr_terminal_width(int descriptor) {
    struct winsize size;
    if (ioctl(descriptor, TIOCGWINSZ, &size) || size.ws_col == 0) return 80;
    return size.ws_col;
}
