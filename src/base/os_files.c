/* The operating system: reading files, and folders.
 *
 * A file that a user may change meanwhile is read and not mapped: one that is cut short ends a read
 * with an error, and a mapping with SIGBUS. Messages name the path and the system's reason. Keeps
 * no state: thread-safe.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os_files.h"

/* ---- reading ---- */

int tr_os_open(const char *path, int flags) {
    int file;
    do file = open(path, flags | O_CLOEXEC, 0666);
    while (file < 0 && errno == EINTR);
    return file;
}

int tr_os_message(tr_error *err, int code, const char *path, const char *format, ...) {
    enum { MOST = 600 };
    char text[300];
    size_t length = strlen(path);
    const char *end = length > MOST ? path + length - MOST : path;
    while (end > path && ((unsigned char)*end & 0xc0) == 0x80) end++; /* whole characters */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return tr_fail(err, code, "%s%s: %s", end > path ? "..." : "", end, text);
}

int tr_os_failure(tr_error *err, const char *path, const char *what, int reason) {
    return tr_os_message(err, reason == ENOMEM ? TR_ENOMEM : TR_EIO, path, "cannot %s: %s", what,
                         strerror(reason));
}

static int64_t modified(const struct stat *info) {
    return (int64_t)info->st_mtim.tv_sec * 1000000000 + info->st_mtim.tv_nsec;
}

int tr_open_file(const char *path, tr_file *out, tr_error *err) {
    *out = (tr_file){0};
    struct stat info;
    int code;
    int file = tr_os_open(path, O_RDONLY | O_NONBLOCK); /* opening a pipe must not wait */
    if (file < 0) return tr_os_failure(err, path, "open", errno);
    if (fstat(file, &info)) {
        code = tr_os_failure(err, path, "read", errno);
        goto fail;
    }
    if (!S_ISREG(info.st_mode)) {
        code = tr_os_message(err, TR_EIO, path, "is %s, not a file",
                             S_ISDIR(info.st_mode) ? "a folder" : "a device or pipe");
        goto fail;
    }
    char *copy = tr_strdup(path, err);
    if (!copy) {
        code = TR_ENOMEM;
        goto fail;
    }
    *out = (tr_file){.path = copy,
                     .descriptor = file,
                     .size = (int64_t)info.st_size,
                     .modified = modified(&info)};
    return TR_OK;
fail:
    close(file);
    return code;
}

int tr_read_at(const tr_file *file, int64_t offset, void *out, size_t bytes, tr_error *err) {
    char *next = out;
    while (bytes > 0) {
        ssize_t n = pread(file->descriptor, next, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return tr_os_failure(err, file->path, "read", errno);
        if (n == 0)
            return tr_os_message(err, TR_EIO, file->path,
                                 "ends at byte %lld, %zu bytes before it should: was it changed "
                                 "while it was read?",
                                 (long long)offset, bytes);
        next += n;
        offset += n;
        bytes -= (size_t)n;
    }
    return TR_OK;
}

int tr_check_unchanged(const tr_file *file, tr_error *err) {
    struct stat info;
    if (fstat(file->descriptor, &info)) return tr_os_failure(err, file->path, "read", errno);
    if (info.st_size != file->size)
        return tr_fail(err, TR_EIO, "%s: changed from %lld to %lld bytes while it was read",
                       file->path, (long long)file->size, (long long)info.st_size);
    if (modified(&info) != file->modified)
        return tr_fail(err, TR_EIO, "%s: was written to while it was read", file->path);
    return TR_OK;
}

void tr_close_file(tr_file *file) {
    if (file->path) close(file->descriptor);
    tr_free(file->path);
    *file = (tr_file){0};
}

int tr_read_file(const char *path, int64_t most, char **out, size_t *bytes, tr_error *err) {
    tr_file file;
    *out = NULL;
    *bytes = 0;
    int code = tr_open_file(path, &file, err);
    if (code) return code;
    char *text = NULL;
    if (file.size > most)
        code = tr_os_message(err, TR_EIO, path, "has %lld bytes, at most %lld are read",
                             (long long)file.size, (long long)most);
    else if (!(text = tr_alloc((size_t)file.size + 1, 1, err)))
        code = TR_ENOMEM;
    else
        code = tr_read_at(&file, 0, text, (size_t)file.size, err);
    if (code == TR_OK) {
        *out = text;
        *bytes = (size_t)file.size;
    } else {
        tr_free(text);
    }
    tr_close_file(&file);
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

tr_path_kind tr_look_at(const char *path, const char **reason) {
    struct stat info;
    if (stat(path, &info)) {
        if (errno == ENOENT || errno == ENOTDIR) return TR_PATH_NOTHING;
        if (reason) *reason = strerror(errno);
        return TR_PATH_UNKNOWN;
    }
    return S_ISREG(info.st_mode)   ? TR_PATH_FILE
           : S_ISDIR(info.st_mode) ? TR_PATH_FOLDER
                                   : TR_PATH_OTHER;
}

char *tr_current_folder(tr_error *err) {
    char *folder = getcwd(NULL, 0);
    if (!folder) {
        tr_os_failure(err, "the current folder", "be found", errno);
        return NULL;
    }
    char *copy = tr_strdup(folder, err);
    free(folder);
    return copy;
}

bool tr_is_same_file(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

char *tr_absolute_path(const char *path, tr_error *err) {
    tr_text text = {0};
    if (*path != '/') {
        char *folder = tr_current_folder(err);
        if (!folder) return NULL;
        tr_text_print(&text, "%s%s", folder, strcmp(folder, "/") == 0 ? "" : "/");
        tr_free(folder);
        while (path[0] == '.' && path[1] == '/') { /* as `./data` and `.//data` */
            path += 2;
            while (*path == '/') path++;
        }
        if (strcmp(path, ".") == 0) path++;
    }
    tr_text_add(&text, path, strlen(path));
    return tr_text_take(&text, err);
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
