/* The operating system: names that must be free, and files that must be new.
 *
 * Of two processes that create one name at the same time, the system lets one succeed.
 * Keeps no state: thread-safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os_files.h"

char *tr_path(const char *folder, const char *name, tr_error *err) {
    size_t length = strlen(folder), bytes = length + strlen(name) + 2;
    char *path = tr_alloc(bytes, 1, err);
    if (path == NULL) return NULL;
    memcpy(path, folder, length);
    if (length > 0 && path[length - 1] != '/') path[length++] = '/';
    memcpy(path + length, name, strlen(name) + 1);
    return path;
}

int tr_look(const char *path, tr_error *err) {
    struct stat info;
    if (lstat(path, &info) == 0) return 1;
    if (errno == ENOENT || errno == ENOTDIR) return 0;
    return tr_os_failure(err, path, "look for it", errno);
}

int tr_create_new(const char *path, const char *text, tr_error *err) {
    int file = tr_os_open(path, O_WRONLY | O_CREAT | O_EXCL);
    if (file < 0 && errno == EEXIST) return 1;
    if (file < 0) return tr_os_failure(err, path, "create", errno);
    int code =
        tr_os_write(file, text, strlen(text)) ? tr_os_failure(err, path, "write", errno) : TR_OK;
    if (close(file) && errno != EINTR && code == TR_OK)
        code = tr_os_failure(err, path, "close", errno);
    if (code) unlink(path);
    return code;
}

void tr_remove_file(const char *path) {
    unlink(path);
}

void tr_remove_empty_folder(const char *path) {
    rmdir(path);
}

int tr_check_writable(const char *folder, tr_error *err) {
    if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0) return TR_OK;
    return tr_os_failure(err, folder, "create files here", errno);
}

/* The longest that a name may be in `folder`. */
static size_t longest_name(const char *folder) {
    long n = pathconf(folder, _PC_NAME_MAX);
    return n > 0 ? (size_t)n : NAME_MAX;
}

static int check_parts(const char *path, size_t most, tr_error *err) {
    for (const char *part = path + strspn(path, "/"); *part; part += strspn(part, "/")) {
        size_t length = strcspn(part, "/");
        if (length > most)
            return tr_fail(err, TR_EIO, "%s: cannot make the folder: %s", path,
                           strerror(ENAMETOOLONG));
        part += length;
    }
    return TR_OK;
}

/* The length of the folder that `path` is in, without its last '/'; 0: the current one. */
static size_t length_above(const char *path, size_t length) {
    while (length > 1 && path[length - 1] == '/') length--;
    while (length > 0 && path[length - 1] != '/') length--;
    while (length > 1 && path[length - 1] == '/') length--;
    return length;
}

int tr_check_new_folder(const char *path, tr_error *err) {
    struct stat info;
    char *above = tr_strdup(path, err); /* the nearest of the folders above that is there */
    if (above == NULL) return TR_ENOMEM;
    size_t end = strlen(above);
    int reason = 0;
    do {
        end = length_above(above, end);
        above[end] = '\0';
        reason = lstat(end ? above : ".", &info) ? errno : 0;
    } while (end > 0 && (reason == ENOENT || reason == ENOTDIR));
    const char *folder = end ? above : ".";
    int code = reason ? TR_OK : check_parts(path + end, longest_name(folder), err);
    if (code == TR_OK && reason == 0 && !tr_is_folder(folder))
        code = tr_fail(err, TR_EIO, "%s: cannot make the folder: a file has this name", folder);
    if (code == TR_OK && reason == 0 && faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS))
        reason = errno;
    if (code == TR_OK && reason)
        code = tr_fail(err, TR_EIO, "%s: cannot make the folder: %s", path, strerror(reason));
    tr_free(above);
    return code;
}
