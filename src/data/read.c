/* Whole files into memory, by several threads, checked while their bytes are in the cache.
 *
 * The files are cut into pieces with consecutive numbers; a thread takes the lowest number that is
 * left. So when a piece fails, all before it have been taken and will be finished, and the failure
 * with the lowest number does not depend on the number of threads. A thread that cannot be started
 * is done without: the calling thread takes part and needs no other.
 */
#include "data/read.h"

#include <stdatomic.h>

enum {
    MAX_THREADS = 4, /* more do not copy faster out of the system's file cache */
    PIECE_BYTES = 2 << 20,
};

typedef struct reading {
    const tr_file *files;
    int n_files;
    int64_t piece; /* bytes, a multiple of the unit */
    tr_read_check *check;
    unsigned char *out;

    atomic_llong next;
    atomic_llong failed; /* the lowest number of a piece that failed, or INT64_MAX */
    pthread_mutex_t lock;
    tr_error error; /* of that piece; under lock */
} reading;

/* Piece `number`: its file, place in it and size, and where its bytes go. False: there is none. */
static bool find_piece(const reading *r, int64_t number, const tr_file **file, int64_t *offset,
                       int64_t *bytes, unsigned char **to) {
    unsigned char *out = r->out;
    for (int i = 0; i < r->n_files; i++) {
        int64_t size = r->files[i].size, n_pieces = size / r->piece + (size % r->piece != 0);
        if (number < n_pieces) {
            *file = &r->files[i];
            *offset = number * r->piece;
            *bytes = tr_min(r->piece, size - *offset);
            *to = out + *offset;
            return true;
        }
        number -= n_pieces;
        out += size;
    }
    return false;
}

static void fail(reading *r, int64_t number, const tr_error *error) {
    pthread_mutex_lock(&r->lock);
    if (number < atomic_load(&r->failed)) {
        atomic_store(&r->failed, number);
        r->error = *error;
    }
    pthread_mutex_unlock(&r->lock);
}

static void *read_pieces(void *arg) {
    reading *r = arg;
    for (;;) {
        const tr_file *file;
        int64_t offset, bytes, number = atomic_fetch_add(&r->next, 1);
        unsigned char *to;
        tr_error err = {0};
        if (number > atomic_load(&r->failed)) return NULL;
        if (!find_piece(r, number, &file, &offset, &bytes, &to)) return NULL;
        int code = tr_read_at(file, offset, to, (size_t)bytes, &err);
        if (code == TR_OK) code = r->check(file, offset, to, bytes, &err);
        if (code < 0) fail(r, number, &err);
    }
}

static int count_threads(int64_t bytes, int64_t piece) {
    int n_cpus = 1;
    tr_free(tr_own_cpus(&n_cpus));
    return (int)tr_max(1, tr_min(tr_min(n_cpus, MAX_THREADS), bytes / piece));
}

int tr_read_files(const tr_file *files, int n, int64_t unit, tr_read_check *check,
                  unsigned char *out, tr_error *err) {
    reading r = {.files = files,
                 .n_files = n,
                 .piece = tr_max(1, PIECE_BYTES / unit) * unit,
                 .check = check,
                 .out = out};
    pthread_t threads[MAX_THREADS];
    int n_started = 0;
    int64_t bytes = 0;
    for (int i = 0; i < n; i++) bytes += files[i].size;
    atomic_init(&r.next, 0);
    atomic_init(&r.failed, INT64_MAX);
    if (pthread_mutex_init(&r.lock, NULL))
        return tr_fail(err, TR_ESYSTEM, "a lock for reading files could not be made");
    int n_others = count_threads(bytes, r.piece) - 1;
    while (n_started < n_others && pthread_create(&threads[n_started], NULL, read_pieces, &r) == 0)
        n_started++;
    read_pieces(&r);
    for (int i = 0; i < n_started; i++) pthread_join(threads[i], NULL);
    pthread_mutex_destroy(&r.lock);

    /* A change explains whatever else is wrong. */
    for (int i = 0; i < n; i++) {
        int code = tr_check_unchanged(&files[i], err);
        if (code < 0) return code;
    }
    if (r.error.code < 0) return tr_fail(err, r.error.code, "%s", r.error.text);
    return TR_OK;
}
