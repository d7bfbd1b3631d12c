/* The operating system: writing files.
 *
 * What is at a path decides how it is written. A regular file, or nothing: a temporary file in the
 * same folder, flushed, then put in its place by rename, so that the path shows the old file or the
 * new one, whole, whatever happens meanwhile. Symbolic links are followed to where the file is; the
 * other names of a file with several (hard links) keep the old one. A device, a pipe, a socket or a
 * descriptor of this process (/dev/stdout, /dev/fd/3) is written into.
 *
 * A temporary file is locked (flock) while its writer lives. The next writer into a folder
 * removes those that are not locked any more: a lock ends with the process however that ends, and
 * unlike a process id in the name it is never another's. NFS carries such locks from one machine to
 * another unless it is mounted with local locks; where a file system has none, nothing is removed.
 * (A file without a name, O_TMPFILE, would need no removing, but it cannot replace another, and
 * several file systems have none.)
 *
 * All work is done relative to an open folder, so the length of a path never grows, and a folder
 * that is moved meanwhile stays the same one. Keeps no state but a counter for names of temporary
 * files: thread-safe.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "base/os_files.h"

static const char temporary_prefix[] = ".trainer-tmp-";

/* ---- writing ---- */

/* Beyond the file-size limit and into a pipe without a reader it gives EFBIG and EPIPE also where
 * the signals that come with them are not ignored: they are blocked in this thread and taken back,
 * so that neither the host's handlers nor other threads see them. */
int tr_os_write(int file, const void *data, size_t bytes) {
    sigset_t blocked, before, pending;
    const struct timespec now = {0};
    const char *next = data;
    int failed = 0;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGXFSZ);
    sigaddset(&blocked, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    sigemptyset(&pending);
    sigpending(&pending);
    while (bytes > 0) {
        ssize_t n = write(file, next, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) { /* another process made the descriptor so: wait here */
            struct pollfd ready = {.fd = file, .events = POLLOUT};
            poll(&ready, 1, -1);
            continue;
        }
        if (n == 0) errno = EIO; /* no progress and no reason: do not try for ever */
        if (n <= 0) {
            failed = errno;
            break;
        }
        next += n;
        bytes -= (size_t)n;
    }
    if (failed == EFBIG || failed == EPIPE) {
        sigset_t raised;
        int number = failed == EFBIG ? SIGXFSZ : SIGPIPE;
        sigemptyset(&raised);
        sigaddset(&raised, number);
        if (!sigismember(&pending, number)) /* one that waited before is the host's */
            while (sigtimedwait(&raised, NULL, &now) < 0 && errno == EINTR) continue;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = failed;
    return failed ? -1 : 0;
}

/* Pipes, terminals and some file systems cannot flush and say EINVAL: then there is nothing to do.
 */
static int flush(int file) {
    int failed;
    do failed = fsync(file);
    while (failed && errno == EINTR);
    return failed && errno != EINVAL && errno != ENOTSUP ? -1 : 0;
}

static int open_at(int folder, const char *name, int flags) {
    int file;
    do file = openat(folder, name, flags | O_CLOEXEC, 0666);
    while (file < 0 && errno == EINTR);
    return file;
}

/* close(2) that keeps errno. */
static void close_quietly(int file) {
    int reason = errno;
    if (file >= 0) close(file);
    errno = reason;
}

/* ---- where a path leads ---- */

typedef enum kind { KIND_FILE, KIND_NOTHING, KIND_SPECIAL, KIND_OWN, KIND_FOLDER } kind;

typedef struct place {
    int folder; /* open, O_PATH */
    char name[NAME_MAX + 1];
    kind kind;
    struct stat info; /* not for KIND_NOTHING */
} place;

/* Split `path`, which is relative to the folder `at`; out->folder and out->name. */
static int enter(int at, const char *path, place *out) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length = (size_t)(name - path);
    out->folder = -1;
    if (length >= sizeof folder || strlen(name) >= sizeof out->name) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, length);
    memcpy(folder + length, ".", length ? 1 : 2);
    folder[length ? length : 1] = 0;
    strcpy(out->name, name);
    out->folder = open_at(at, folder, O_PATH | O_DIRECTORY);
    return out->folder < 0 ? -1 : 0;
}

/* Is the folder the one of this process' open descriptors? */
static bool lists_own_descriptors(int folder) {
    struct stat here, own;
    return !fstat(folder, &here) && !stat("/proc/self/fd", &own) && here.st_dev == own.st_dev &&
           here.st_ino == own.st_ino;
}

/* Follow the last part of `path` to what it names. out->folder is open in any case (-1: not). */
static int find(const char *path, place *out) {
    enum { MOST_LINKS = 40 };
    char target[PATH_MAX];
    *out = (place){.folder = -1};
    if (enter(AT_FDCWD, path, out)) return -1;
    for (int i = 0; i < MOST_LINKS; i++) {
        if (!*out->name) {
            errno = EISDIR;
            return -1;
        }
        if (lists_own_descriptors(out->folder)) {
            out->kind = KIND_OWN;
            return 0;
        }
        bool exists = !fstatat(out->folder, out->name, &out->info, 0);
        /* Also a link that the system follows for its owner only (protected_symlinks). */
        if (!exists && errno != ENOENT) return -1;
        if (exists && S_ISDIR(out->info.st_mode)) {
            out->kind = KIND_FOLDER;
            return 0;
        }
        if (exists && !S_ISREG(out->info.st_mode)) {
            out->kind = KIND_SPECIAL;
            return 0;
        }
        if (fstatat(out->folder, out->name, &out->info, AT_SYMLINK_NOFOLLOW)) {
            out->kind = KIND_NOTHING;
            return errno == ENOENT ? 0 : -1;
        }
        if (!S_ISLNK(out->info.st_mode)) {
            out->kind = KIND_FILE;
            return 0;
        }
        ssize_t length = readlinkat(out->folder, out->name, target, sizeof target);
        if (length < 0) return -1;
        if (length == sizeof target) {
            errno = ENAMETOOLONG;
            return -1;
        }
        target[length] = 0;
        int above = out->folder;
        int failed = enter(above, target, out);
        close_quietly(above);
        if (failed) return -1;
    }
    errno = ELOOP;
    return -1;
}

/* A socket is connected to: open(2) refuses it. */
static int connect_to(const place *p) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int n = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", p->folder,
                     p->name);
    if (n < 0 || (size_t)n >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0) return -1;
    if (connect(file, (struct sockaddr *)&address, sizeof address)) {
        close_quietly(file);
        return -1;
    }
    return file;
}

/* The descriptor that a KIND_OWN names, or -1; the folder's has taken its number just now. */
static int own_number(const place *p) {
    char *end;
    long number = strtol(p->name, &end, 10);
    return *end || number < 0 || number > INT_MAX || number == p->folder ? -1 : (int)number;
}

/* Open what is written into. A pipe waits for its reader, as it does for every program. */
static int open_special(const place *p) {
    if (p->kind == KIND_OWN) {
        int number = own_number(p);
        if (number < 0) {
            errno = EBADF;
            return -1;
        }
        if (number == STDOUT_FILENO) fflush(stdout); /* what was printed before comes before */
        return fcntl(number, F_DUPFD_CLOEXEC, 0);
    }
    if (S_ISSOCK(p->info.st_mode)) return connect_to(p);
    return open_at(p->folder, p->name, O_WRONLY | O_NOCTTY);
}

/* ---- temporary files ---- */

/* Create and lock a file in `folder`; its name into out. A name that is taken is another's. Between
 * its creation and its lock a file looks abandoned and may be removed: then another is made. */
static int create_temporary(int folder, char *out, size_t bytes) {
    static atomic_uint counter;
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        struct stat info;
        snprintf(out, bytes, "%s%ld-%u", temporary_prefix, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        int file = open_at(folder, out, O_WRONLY | O_CREAT | O_EXCL);
        if (file < 0 && errno == EEXIST) continue;
        if (file < 0) return -1;
        bool taken = flock(file, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK;
        if (!taken && !fstatat(folder, out, &info, AT_SYMLINK_NOFOLLOW)) return file;
        close_quietly(file);
    }
    errno = EEXIST;
    return -1;
}

/* Remove `name` where it is a temporary file that no process has locked. */
static void remove_abandoned(int folder, const char *name) {
    struct stat info;
    int file = open_at(folder, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (file < 0) return;
    if (!fstat(file, &info) && S_ISREG(info.st_mode) && !flock(file, LOCK_EX | LOCK_NB))
        unlinkat(folder, name, 0);
    close(file);
}

/* The same for all of an open folder. */
static void clear_folder(int folder) {
    int list = open_at(folder, ".", O_RDONLY | O_DIRECTORY);
    DIR *entries = list < 0 ? NULL : fdopendir(list);
    if (!entries) {
        close_quietly(list);
        return;
    }
    for (struct dirent *entry; (entry = readdir(entries));)
        if (!strncmp(entry->d_name, temporary_prefix, sizeof temporary_prefix - 1))
            remove_abandoned(folder, entry->d_name);
    closedir(entries);
}

void tr_clear_temporaries(const char *folder) {
    int file = open_at(AT_FDCWD, folder, O_PATH | O_DIRECTORY);
    if (file < 0) return;
    clear_folder(file);
    close(file);
}

/* ---- whole files ---- */

/* Let the new file have the owner and the permissions of the one that it will replace, as far as
 * the system allows. Rights of a group that could not be kept are not given to another group. */
static void keep_permissions(int file, const struct stat *old) {
    struct stat info;
    mode_t mode = old->st_mode & 0777;
    if (fstat(file, &info)) return;
    if ((info.st_uid != old->st_uid || info.st_gid != old->st_gid) &&
        fchown(file, old->st_uid, old->st_gid) && info.st_gid != old->st_gid &&
        fchown(file, (uid_t)-1, old->st_gid))
        mode = (mode & ~(mode_t)S_IRWXG) | (mode & S_IRWXG & (mode & S_IRWXO) << 3);
    if (fchmod(file, mode)) return; /* a file system without permissions */
}

/* Open the place for writing; the step that failed in *step. */
static int begin_at(const place *p, tr_output *out, const char **step) {
    *step = "open";
    if (p->kind == KIND_SPECIAL || p->kind == KIND_OWN) {
        out->descriptor = open_special(p);
        return out->descriptor < 0 ? -1 : 0;
    }
    *step = p->kind == KIND_NOTHING ? "create" : "replace";
    if (p->kind == KIND_FILE && faccessat(p->folder, p->name, W_OK, AT_EACCESS)) return -1;
    clear_folder(p->folder);
    out->descriptor = create_temporary(p->folder, out->temporary, sizeof out->temporary);
    if (out->descriptor < 0) return -1;
    if (p->kind == KIND_FILE) keep_permissions(out->descriptor, &p->info);
    out->folder = p->folder;
    return 0;
}

/* What every output begins with: the place, whose folder is open, where it can be one. */
static int start(const char *path, place *p, tr_error *err) {
    int code = TR_OK;
    if (!*path) return tr_fail(err, TR_EIO, "a file without a name cannot be written");
    if (find(path, p))
        code = tr_os_failure(err, path, "create", errno);
    else if (p->kind == KIND_FOLDER)
        code = tr_os_message(err, TR_EIO, path, "is a folder, not a file");
    if (code) close_quietly(p->folder);
    return code;
}

int tr_save_begin(const char *path, tr_output *out, tr_error *err) {
    place p;
    const char *step;
    tr_output o = {.descriptor = -1, .folder = -1};
    *out = (tr_output){0};
    int code = start(path, &p, err);
    if (code) return code;
    code = TR_ENOMEM;
    if ((o.path = tr_strdup(path, err)) && (o.name = tr_strdup(p.name, err)))
        code = begin_at(&p, &o, &step) ? tr_os_failure(err, path, step, errno) : TR_OK;
    if (o.folder < 0) close_quietly(p.folder);
    if (code == TR_OK) {
        *out = o;
    } else {
        tr_free(o.path);
        tr_free(o.name);
    }
    return code;
}

int tr_save_write(tr_output *out, const void *data, size_t bytes, tr_error *err) {
    return tr_os_write(out->descriptor, data, bytes) ? tr_os_failure(err, out->path, "write", errno)
                                                     : TR_OK;
}

void tr_save_cancel(tr_output *out) {
    if (!out->path) return;
    if (out->folder >= 0) unlinkat(out->folder, out->temporary, 0);
    close_quietly(out->descriptor);
    close_quietly(out->folder);
    tr_free(out->path);
    tr_free(out->name);
    *out = (tr_output){0};
}

int tr_save_end(tr_output *out, tr_error *err) {
    const char *step = "flush";
    int failed = flush(out->descriptor);
    /* The lock must last until the name is changed, so close(2), which may fail as write(2) does on
     * some file systems, has its say through a second descriptor. */
    int second = failed ? -1 : fcntl(out->descriptor, F_DUPFD_CLOEXEC, 0);
    if (second >= 0) {
        step = "close";
        failed = close(second) && errno != EINTR;
    }
    if (!failed && out->folder >= 0) {
        step = "put in place";
        failed = renameat(out->folder, out->temporary, out->folder, out->name);
    }
    int code = failed ? tr_os_failure(err, out->path, step, errno) : TR_OK;
    if (code == TR_OK && out->folder >= 0) {
        /* The new file is there, whole; only a power failure could still undo it. A folder that one
         * may write but not read cannot be flushed. */
        int folder = open_at(out->folder, ".", O_RDONLY | O_DIRECTORY);
        if (folder >= 0 && flush(folder))
            code = tr_os_failure(err, out->path, "flush the folder of", errno);
        close_quietly(folder);
        close_quietly(out->folder);
        out->folder = -1;
    }
    tr_save_cancel(out);
    return code;
}

int tr_save(const char *path, const void *data, size_t bytes, tr_error *err) {
    tr_output out;
    int code = tr_save_begin(path, &out, err);
    if (code) return code;
    if ((code = tr_save_write(&out, data, bytes, err))) {
        tr_save_cancel(&out);
        return code;
    }
    return tr_save_end(&out, err);
}

int tr_append(const char *path, const char *text, tr_error *err) {
    int code = TR_OK;
    int file = tr_os_open(path, O_WRONLY | O_CREAT | O_APPEND);
    if (file < 0) return tr_os_failure(err, path, "open", errno);
    struct stat before;
    bool known = fstat(file, &before) == 0 && S_ISREG(before.st_mode);
    if (tr_os_write(file, text, strlen(text))) {
        code = tr_os_failure(err, path, "write", errno);
        /* A full disk may have taken half a line: readers of the file expect whole ones. Where even
         * this fails, the first failure is still what the caller hears of. */
        if (known && ftruncate(file, before.st_size)) known = false;
    }
    if (close(file) && errno != EINTR && code == TR_OK)
        code = tr_os_failure(err, path, "close", errno);
    return code;
}

/* Can a file be made in an open folder? */
static int try_folder(int folder) {
    char name[TR_TEMPORARY_NAME];
    int file = create_temporary(folder, name, sizeof name);
    if (file < 0) return -1;
    unlinkat(folder, name, 0);
    close(file);
    return 0;
}

int tr_check_output(const char *path, tr_error *err) {
    place p;
    const char *step = "create";
    int code = start(path, &p, err);
    if (code) return code;
    bool failed = false;
    if (p.kind == KIND_OWN) {
        int number = own_number(&p), flags = number < 0 ? -1 : fcntl(number, F_GETFL);
        failed = flags < 0 || (flags & O_ACCMODE) == O_RDONLY;
        step = flags < 0 ? "open" : "write";
        errno = EBADF;
    } else {
        if (p.kind != KIND_NOTHING) {
            step = p.kind == KIND_FILE ? "replace" : "open";
            failed = faccessat(p.folder, p.name, W_OK, AT_EACCESS);
        }
        if (!failed && p.kind != KIND_SPECIAL) failed = try_folder(p.folder);
    }
    if (failed) code = tr_os_failure(err, path, step, errno);
    close_quietly(p.folder);
    return code;
}
