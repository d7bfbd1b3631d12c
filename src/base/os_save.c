/* The operating system: writing files.
 *
 * Messages name the path and the system's reason. Keeps no state but a counter for names of
 * temporary files: thread-safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os_files.h"

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
        file = tr_os_open(temporary, O_WRONLY | O_CREAT | O_EXCL);
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
    int file = tr_os_open(folder, O_RDONLY | O_DIRECTORY);
    if (file < 0) return -1;
    int failed = flush(file) && errno != EINVAL;
    int reason = errno;
    close(file);
    errno = reason;
    return failed ? -1 : 0;
}

int tr_save(const char *path, const void *data, size_t bytes, tr_error *err) {
    char *temporary = NULL;
    const char *step = "write";
    int reason;
    int file = create_beside(path, &temporary);
    if (file < 0) return tr_os_failure(err, path, "create", errno);
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
    return reason ? tr_os_failure(err, path, "flush the folder of", reason) : TR_OK;

fail:
    reason = errno;
    if (file >= 0) close(file);
    unlink(temporary);
    tr_free(temporary);
    return tr_os_failure(err, path, step, reason);
}

int tr_append(const char *path, const char *text, tr_error *err) {
    int code = TR_OK;
    int file = tr_os_open(path, O_WRONLY | O_CREAT | O_APPEND);
    if (file < 0) return tr_os_failure(err, path, "open", errno);
    struct stat before;
    bool known = fstat(file, &before) == 0 && S_ISREG(before.st_mode);
    if (write_all(file, text, strlen(text))) {
        code = tr_os_failure(err, path, "write", errno);
        /* A full disk may have taken half a line: readers of the file expect whole ones. Where even
         * this fails, the first failure is still what the caller hears of. */
        if (known && ftruncate(file, before.st_size)) known = false;
    }
    if (close(file) && errno != EINTR && code == TR_OK)
        code = tr_os_failure(err, path, "close", errno);
    return code;
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
    if (file < 0) return tr_os_failure(err, folder, "create files here", reason);
    close(file);
    unlink(temporary);
    tr_free(temporary);
    return TR_OK;
}
