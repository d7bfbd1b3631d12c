/* The module `base`: errors, aligned memory, random numbers, argument schemas, operating system.
 *
 * All other modules use this one; it uses none. Only os.c and os_*.c call the operating system, so
 * that a port to another system replaces these and nothing else.
 */
#ifndef TR_BASE_H
#define TR_BASE_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/arithmetic.h"
#include "trainer/error.h"

/* The element type of activations, parameters and gradients. The tests compile the layers a second
 * time with double, to hold gradients against finite differences. */
#ifdef TR_REAL_DOUBLE
typedef double tr_real;
#else
typedef float tr_real;
#endif

/* Element types of state, in memory and in files. */
typedef enum tr_type { TR_FLOAT32, TR_FLOAT64, TR_INT64 } tr_type;

enum {
    TR_ALIGN = 64,          /* bytes: a cache line, an AVX-512 vector */
    TR_PAGE = 4096,         /* bytes: what a processor prefetches within */
    TR_LARGE = 4 * TR_PAGE, /* bytes: memory of this size begins at a page */
    TR_LANES = 16,          /* elements of the widest vector: buffers carry this much slack */
    TR_BLOCK8 = 8,          /* rows of weights are padded to this many elements */
    TR_TEXT = 256,          /* bytes of a short text of the program, with its end */
};

/* ---- errors (error.c) ---- */

/* Where an error is in the configuration: file and line (line 0: none, as for --set). */
typedef struct tr_where {
    const char *file;
    int line;
} tr_where;

/* Record a failure and return `code`. Keeps an earlier failure; err may be NULL. */
int tr_fail(tr_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for an error in a configuration: TR_ECONFIG with the text "FILE:LINE: KEY: ..."
 * ("FILE: KEY: ..." where there is no line; no "KEY: " when key is NULL). */
int tr_fail_at(tr_error *err, tr_where where, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The name in names[0..n) that `word` is another spelling of: without regard to case and to `_`,
 * with a typing error or two in a long part of it, or cut short before a digit or `_` (nearest.c
 * has the rule). NULL where there is none: a name of another thing is never offered. */
const char *tr_nearest(const char *word, const char *const *names, int n);

/* tr_fail_at for a word that is none of names[0..n): `what` ("unknown layer 'conv2'") followed by
 * " (did you mean 'conv2d'?)" or, where nothing is near, by ", allowed are ..." with all names. */
int tr_fail_unknown(tr_error *err, tr_where where, const char *key, const char *what,
                    const char *word, const char *const *names, int n);

/* ---- notes (notes.c) ---- */

/* What is valid but may be a mistake: one line each, in the order in which they were found, none
 * twice. {0} is an empty list. What opens something that a configuration names adds to the list of
 * the session (`tr_session.notes`) with tr_note; tr_train and tr_dry_run give each line to the
 * listener as a TR_EVENT_NOTE, right behind TR_EVENT_PLAN. */
typedef struct tr_notes {
    int n;
    char **text;
} tr_notes;
/* notes may be NULL. */
void tr_note(tr_notes *notes, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tr_notes_free(tr_notes *notes);

/* ---- memory (memory.c) ---- */

/* a * b and a + b into *out; false, with *out untouched, when the result does not fit. */
static inline bool tr_mul(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline bool tr_add(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
static inline int64_t tr_round_up(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}
static inline int64_t tr_min(int64_t a, int64_t b) {
    return a < b ? a : b;
}
static inline int64_t tr_max(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* The part of 0..n that worker `thread` of `count` owns: contiguous, in order, sizes differ by at
 * most one. Every place that divides work among threads divides it with this. */
static inline int64_t tr_part(int64_t n, int64_t thread, int64_t count) {
    return n * thread / count;
}

/* count * size zeroed bytes, aligned to TR_ALIGN (to TR_PAGE from TR_LARGE bytes on), followed by
 * TR_ALIGN bytes of slack that may be read and written. NULL, with err set, when there is no memory
 * or the product overflows. count * size == 0 gives a valid pointer. Free with tr_free (NULL is
 * fine). */
void *tr_alloc(size_t count, size_t size, tr_error *err);
void tr_release(void *memory);
/* Inline, because the static library of Check has a function of this name. */
static inline void tr_free(void *memory) {
    tr_release(memory);
}
char *tr_strdup(const char *text, tr_error *err);
/* Space for one more element at the end of the list of n elements that *(T **)list points at (NULL:
 * none yet); returns its place, zeroed, or NULL. Lists that grow so are freed with tr_free, and
 * have space for a power of two of elements. */
void *tr_grow(void *list, int n, size_t size, tr_error *err);

/* What tr_alloc(count, size) takes from the system, bytes; INT64_MAX where that is no size. */
int64_t tr_alloc_bytes(int64_t count, int64_t size);
/* Write to each page of `bytes` bytes and change none: memory from tr_alloc is there, on the NUMA
 * node of the calling thread, once it is touched. Several threads may touch the same page. */
void tr_touch(void *memory, int64_t bytes);

/* What a run will hold, by kind, put together before any of it is allocated. */
typedef enum tr_memory_kind {
    TR_MEMORY_PARAMETERS,
    TR_MEMORY_OPTIMIZER, /* its state */
    TR_MEMORY_BATCH,     /* activations and their gradients that a whole batch keeps */
    TR_MEMORY_THREADS,   /* per-thread buffers, all threads together */
    TR_MEMORY_DATA,      /* data sets */
    TR_MEMORY_LOADER,    /* batches made ahead of time */
    TR_MEMORY_TEST,      /* all that testing needs: the same kinds once more */
    TR_MEMORY_OUTPUT,    /* buffers for files and pictures */
    TR_MEMORY_PROGRAM,   /* the process without the above */
    TR_N_MEMORY_KINDS,
} tr_memory_kind;
/* "parameters" */
const char *tr_memory_name(tr_memory_kind kind);
typedef struct tr_account {
    int64_t bytes[TR_N_MEMORY_KINDS]; /* INT64_MAX: more than fits 63 bits */
} tr_account;
/* Sums that stop at INT64_MAX. bytes >= 0. */
void tr_account_add(tr_account *account, tr_memory_kind kind, int64_t bytes);
int64_t tr_account_total(const tr_account *account);

/* Tests: let the next n allocations succeed and the one after fail (-1: never fail). */
void tr_alloc_fail_after(long n);

/* Prefetch the cache lines of `bytes` bytes, the first of which begins at `from`.
 * Only a hint. As asm, because gcc finds that a function of __builtin_prefetch alone has no effect
 * and drops the calls. */
static inline void tr_prefetch(const void *from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += TR_ALIGN) {
        const char *line = (const char *)from + i;
#if defined(__x86_64__) || defined(__i386__)
        __asm__ volatile("prefetcht0 %0" : : "m"(*line));
#else
        __asm__ volatile("" : : "r"(line));
        __builtin_prefetch(line, 0);
#endif
    }
}

/* Neither infinite nor NaN, by the bits: no compiler flag can decide that it is always so. */
static inline bool tr_is_finite(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits >> 52 & 0x7ff) != 0x7ff;
}
static inline bool tr_is_finite_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits >> 23 & 0xff) != 0xff;
}

/* ---- text (text.c, utf8.c) ---- */

/* 1536 -> "1.5 KiB". out has 32 bytes. Returns out. */
char *tr_format_bytes(int64_t bytes, char *out);

/* A text that grows, always with an end; {0} is an empty one. Where memory is short it keeps what
 * it has, and says so when it is taken. */
typedef struct tr_text {
    char *at; /* NULL while nothing was added */
    size_t n, capacity;
    bool failed;
} tr_text;
void tr_text_add(tr_text *text, const char *more, size_t n);
void tr_text_print(tr_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tr_text_vprint(tr_text *text, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
/* What a terminal shows on one line: \n and \xNN for all other bytes. */
void tr_text_add_plain(tr_text *text, const char *more, size_t n);
/* `value` in quotes. */
void tr_text_quote(tr_text *text, const char *value);
/* The text, now the caller's (tr_free), or NULL; `text` is empty afterwards. */
char *tr_text_take(tr_text *text, tr_error *err);
void tr_text_free(tr_text *text);

/* Memory that is freed at once; {0} is an empty one. */
typedef struct tr_arena {
    struct tr_arena_chunk *last;
    char *next;
    size_t left, total;
} tr_arena;
/* Zeroed and aligned for any type; NULL, with err set, when there is no memory. */
void *tr_arena_alloc(tr_arena *arena, size_t bytes, tr_error *err);
/* text[0..n) with an end. */
char *tr_arena_copy(tr_arena *arena, const char *text, size_t n, tr_error *err);
void tr_arena_free(tr_arena *arena);

/* Bytes of the UTF-8 character that text[0..n), n >= 1, begins with; 0 where it is none. */
size_t tr_utf8_length(const char *text, size_t n);
/* The same; 0 also for control characters and those that would break a line of output. */
size_t tr_plain_length(const char *text, size_t n);
/* A quoted word at[0..n) begins with '"'. Its bytes to out (which may be `at`, or NULL) and their
 * number to *length. Returns the bytes read, both quotes included; or 0, with what is wrong in
 * *error and where, counted from `at`, in *length. */
size_t tr_unquote(const char *at, size_t n, char *out, size_t *length, const char **error);

/* ---- random numbers (rng.c) ----
 * Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): the value is
 * a pure function of (seed, stream, epoch, index), so the order of drawing does not matter. */

enum tr_stream { /* one number per purpose; never renumber, or seeds change meaning */
                 TR_STREAM_INIT = 1,
                 TR_STREAM_SHUFFLE = 2,
                 TR_STREAM_SYNTHETIC = 3,
                 TR_STREAM_PREDICT = 4,
                 TR_STREAM_SAMPLES = 5,
                 TR_STREAM_DROPOUT = 6,
};

void tr_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* 128 random bits for the counter (stream, a, b) under `seed`; the first 32 of them. */
void tr_random_words(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint32_t out[4]);
uint32_t tr_random(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);
/* The same as a number in [0, 1) with 24 random bits: exact in float. */
float tr_random_unit(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b);
/* An integer in [0, n), n >= 1, without bias worth naming (64-bit multiply-shift). */
uint64_t tr_random_below(uint64_t seed, uint32_t stream, uint32_t a, uint64_t b, uint64_t n);
/* order[0..n) := a random permutation of 0..n-1 that depends on (seed, stream, a) alone. */
void tr_permutation(uint64_t seed, uint32_t stream, uint32_t a, uint32_t *order, uint32_t n);

/* ---- PyTorch's random numbers (mt19937.c) ---- */

typedef enum tr_generator { TR_PHILOX, TR_TORCH } tr_generator; /* what draws */

enum { TR_MT19937_WORDS = 624 };
typedef struct tr_mt19937 {
    uint32_t state[TR_MT19937_WORDS];
    int next;
} tr_mt19937;
void tr_mt19937_seed(tr_mt19937 *g, uint32_t seed);
uint32_t tr_mt19937_next(tr_mt19937 *g);
/* order[0..n) := the order of the samples in epoch `epoch` (from 0) of a
 * torch.utils.data.DataLoader(shuffle=True) after torch.manual_seed(seed) and `n_before` numbers
 * drawn since, for the initial weights (PyTorch 1.13). Takes time in n_before + epoch + n.
 * PyTorch has another rule for more than 2^32 / 20 samples. */
void tr_torch_permutation(uint64_t seed, int64_t n_before, uint32_t epoch, uint32_t *order,
                          uint32_t n);

/* ---- argument schemas (schema.c, args.c) ----
 * A table of keys describes the arguments of a layer, optimizer, data set or section. From it come
 * parsing, defaults, error messages, `trainer help` and the effective configuration. */

typedef enum tr_key_type {
    TR_KEY_INT,    /* int64_t; `choices` may name words that are stored as -1, -2, ... */
    TR_KEY_FLOAT,  /* double; the same */
    TR_KEY_BOOL,   /* bool: true or false */
    TR_KEY_CHOICE, /* int: index into `choices` */
    TR_KEY_STRING, /* const char *, never NULL */
    TR_KEY_PATH,   /* the same; a file or folder, relative to the folder that the program runs in */
    TR_KEY_FLOATS, /* tr_floats: numbers separated by commas, each as one of TR_KEY_FLOAT */
    TR_KEY_SIZE2,  /* tr_size2: "3" for both or "3x1"; each as an integer or word of TR_KEY_INT */
    TR_KEY_FLOAT2, /* tr_float2: the same of numbers, "2" or "2x1.5" */
    TR_KEY_SIDES,  /* tr_sides: "1" for all four or "1x1x2x2" */
    TR_KEY_CLASS,  /* tr_class: one of `classes`, "NAME" or "NAME(key=value, ...)" */
    TR_KEY_ANY,    /* all keys that the schema has not: ignored, kept nowhere, not written */
} tr_key_type;

typedef struct tr_floats {
    int n;
    double *v;
} tr_floats;

typedef struct tr_size2 {
    int64_t h, w;
} tr_size2;

typedef struct tr_float2 {
    double h, w;
} tr_float2;

typedef struct tr_sides { /* of an image, in PyTorch's order */
    int64_t left, right, top, bottom;
} tr_sides;

typedef struct tr_class {
    int index; /* in the key's registry */
    void *args;
} tr_class;

typedef struct tr_key {
    const char *name;
    tr_key_type type;
    size_t offset;                     /* of the value in the arguments struct */
    const char *fallback;              /* the default, as one would write it; NULL: must be given */
    double min, max;                   /* inclusive, for numbers; both 0: any number */
    const char *choices;               /* words separated by one space */
    const char *help;                  /* one sentence without a full stop */
    const struct tr_registry *classes; /* of TR_KEY_CLASS */
} tr_key;

/* The head of every class that a configuration can name. */
typedef struct tr_schema {
    const char *name;
    const char *help; /* one or two sentences */
    const tr_key *keys;
    int n_keys;
    size_t args_bytes;
    /* What PyTorch calls it, "torch.nn.Conv2d": the manual names its page. "": PyTorch has no such
     * thing. Every layer, loss, optimizer, schedule, transform and data set says one of the two. */
    const char *torch;
} tr_schema;

/* One `key=value` as it was written. */
typedef struct tr_pair {
    const char *key, *value;
    tr_where where;
    const char *context; /* what stands before the key in messages ("conv1"), or NULL */
} tr_pair;

/* Where the keys of one section or line are, for rules that a schema cannot express. */
typedef struct tr_places {
    const tr_pair *pairs; /* as written; may hold other keys, too */
    int n;
    tr_where where;      /* of a key that was not written: the section's heading, the line */
    const char *context; /* as in tr_pair: "data" */
} tr_places;
/* Where a key was written, or places->where. */
tr_where tr_place_of(const tr_places *places, const char *key);
/* tr_fail_at for a key: at its line, called "CONTEXT.KEY". */
int tr_fail_key(tr_error *err, const tr_places *places, const char *key, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Fill `args` (schema->args_bytes, any content) from defaults and pairs[0..n). Fails, naming
 * line, key, rule and nearest valid name, on an unknown key, a key given twice, a value of the
 * wrong type or out of range, text after a number, and a key without default that is missing
 * (reported at `where`). `context` names the thing in messages, as in tr_pair. Strings and lists
 * are copies that tr_args_clear frees; nothing is left to free after a failure. */
int tr_args_parse(const tr_schema *schema, const tr_pair *pairs, int n, tr_where where,
                  const char *context, void *args, tr_error *err);
/* Free what the arguments hold, but not `args` itself; args that are all zero are fine. */
void tr_args_clear(const tr_schema *schema, void *args);
/* A line `CLASS xN key=value ...` as words, each but the arguments NULL where it is not there. */
typedef struct tr_args_words {
    const char *class; /* the first word, where it has no '=' */
    const char *times; /* the word right behind it where that is x and a digit or '$': "x2" */
    tr_pair *pairs;
    int n;
} tr_args_words;
/* Splits at white space that is not in round brackets; a value may be quoted. What is in *out lives
 * in `memory`, like `context` that the pairs point to. */
int tr_args_split(const char *text, tr_where where, const char *context, tr_arena *memory,
                  tr_args_words *out, tr_error *err);
/* The value that `args` holds for `key`, as one would write it, without quotes. */
void tr_args_format(const tr_key *key, const void *args, tr_text *out);
/* " key=value" for each key but TR_KEY_ANY, quoted where it must be: what tr_args_split takes apart
 * again. */
void tr_args_write(const tr_schema *schema, const void *args, tr_text *out);

/* Bytes of the text before its first comma that is not in round brackets; all where there is none.
 * From a bracket on that is not closed no other protects commas (nor blanks in tr_args_split). */
size_t tr_item_length(const char *text);
/* Behind the round bracket that closes the one at `at`; NULL: there is none. */
const char *tr_bracket_end(const char *at);

/* tr_fail_key for an error between the values of two keys, at the one that must change: `key`; but
 * `other` where that alone was written, or alone on the command line. The text is the same. */
int tr_fail_between(tr_error *err, const tr_places *places, const char *key, const char *other,
                    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The classes that a configuration can name in one place. */
typedef struct tr_registry {
    const char *kind; /* what one is called in messages: "layer" */
    const tr_schema *const *schemas;
    int n;
} tr_registry;
/* Define the registry of a kind of class and, under the same numbers, the table of its classes:
 * TYPE_NAME for each X(TYPE, NAME) of LIST(X), which Meson makes from a module's meson.build. The
 * classes have the type TYPE, which begins with a tr_schema `schema`. */
#define TR_REGISTRY(LIST, TYPE, TABLE, REGISTRY, KIND)                                             \
    LIST(TR_REGISTRY_DECLARE)                                                                      \
    const TYPE *const TABLE[] = {LIST(TR_REGISTRY_CLASS)};                                         \
    static const tr_schema *const REGISTRY##_schemas[] = {LIST(TR_REGISTRY_SCHEMA)};               \
    const tr_registry REGISTRY = {KIND, REGISTRY##_schemas,                                        \
                                  sizeof REGISTRY##_schemas / sizeof *REGISTRY##_schemas}
#define TR_REGISTRY_DECLARE(TYPE, NAME) extern const TYPE TYPE##_##NAME;
#define TR_REGISTRY_CLASS(TYPE, NAME)   &TYPE##_##NAME,
#define TR_REGISTRY_SCHEMA(TYPE, NAME)  &TYPE##_##NAME.schema,
/* The number of a class, or -1. */
int tr_registry_find(const tr_registry *registry, const char *name);
/* A class and its arguments: class->value names it (NULL: nothing does), the pairs of `given`
 * without `class` itself are the arguments. *index is its number in the registry and *args what
 * tr_args_parse makes of them, to be freed by tr_args_clear and tr_free. Fails as tr_args_parse
 * does, and where there is no such class, naming the nearest. In messages the class is
 * "CONTEXT.KEY" of the pair, or its context where the key is NULL. */
int tr_class_parse(const tr_registry *registry, const tr_pair *class, const tr_places *given,
                   int *index, void **args, tr_error *err);
/* The same of one value, "NAME" or "NAME(key=value, ...)", of the key pair->key; tr_class_clear. */
int tr_class_read(const tr_registry *registry, const tr_pair *pair, tr_class *out, tr_error *err);
/* What tr_class_read takes apart again, with every argument. */
void tr_class_format(const tr_registry *registry, const tr_class *value, tr_text *out);
void tr_class_clear(const tr_registry *registry, tr_class *value);

/* ---- operating system (os.c, os_*.c) ---- */

/* Seconds of a clock that only goes forward. */
double tr_now(void);
/* Nanoseconds of the same clock, for profiles. */
uint64_t tr_now_ns(void);

/* A regular file open for reading; {0}: none. Bytes are read and not mapped, so that a file which
 * changes meanwhile costs an error and no signal. */
typedef struct tr_file {
    char *path; /* as it was given */
    int descriptor;
    int64_t size;     /* bytes, when it was opened */
    int64_t modified; /* then, nanoseconds of the system's clock */
} tr_file;
/* Fails on what is no regular file; does not wait for a pipe's writer. */
int tr_open_file(const char *path, tr_file *out, tr_error *err);
/* Exactly `bytes` bytes from `offset` on: a file that ends before is TR_EIO. Any number of threads
 * may read one file. */
int tr_read_at(const tr_file *file, int64_t offset, void *out, size_t bytes, tr_error *err);
/* TR_EIO when the file was written to or cut since it was opened. A file that another one replaced
 * under its name is still the one that was opened. */
int tr_check_unchanged(const tr_file *file, tr_error *err);
void tr_close_file(tr_file *file);
/* A whole file of at most `most` bytes, followed by a NUL that *bytes does not count; tr_free. */
int tr_read_file(const char *path, int64_t most, char **out, size_t *bytes, tr_error *err);

/* A file being written; {0}: none. What is at the path decides how (os_save.c): a regular file is
 * replaced whole, with its permissions kept and symbolic links followed; a device, pipe or socket
 * is written into. Writing into a pipe waits for its reader. */
enum { TR_TEMPORARY_NAME = 48 };
typedef struct tr_output {
    char *path, *name;      /* as it was given; in `folder` */
    int descriptor, folder; /* folder -1: written into, nothing to put in place */
    char temporary[TR_TEMPORARY_NAME];
} tr_output;
/* Until tr_save_end has put the new file in its place the old one is untouched; tr_save_cancel, or
 * the failure of tr_save_end, leaves the old one and no temporary file. A failed tr_save_write is
 * followed by tr_save_cancel. Either of the two ends the output. */
int tr_save_begin(const char *path, tr_output *out, tr_error *err);
/* Would tr_save_begin work now? Opens no pipe and changes nothing. */
int tr_check_output(const char *path, tr_error *err);
int tr_save_write(tr_output *out, const void *data, size_t bytes, tr_error *err);
int tr_save_end(tr_output *out, tr_error *err);
void tr_save_cancel(tr_output *out);
/* All of it at once. */
int tr_save(const char *path, const void *data, size_t bytes, tr_error *err);
/* Remove what killed processes left half written in a folder; what is being written stays. Every
 * tr_save into the folder does it, too. */
void tr_clear_temporaries(const char *folder);
/* Append whole lines to a file (created if missing). */
int tr_append(const char *path, const char *text, tr_error *err);
/* Make a folder and those above it; an existing one is fine. */
int tr_make_folder(const char *path, tr_error *err);
/* Make a folder that must not exist yet, and those above it where they are missing: TR_OK, 1 when
 * it exists, or a failure. */
int tr_make_new_folder(const char *path, tr_error *err);
/* Fail where a file could not be made in a folder, or a folder that is not there could not be made,
 * as far as the system tells without making anything. */
int tr_check_writable(const char *folder, tr_error *err);
int tr_check_new_folder(const char *path, tr_error *err);
/* FOLDER/NAME, of any length; tr_free. */
char *tr_path(const char *folder, const char *name, tr_error *err);
/* Is anything called `path`, be it a link that leads nowhere? 1, 0, or TR_EIO where the system does
 * not say (a name that is too long, a folder that may not be searched). */
int tr_look(const char *path, tr_error *err);
/* Make a file that must not be there yet: TR_OK, 1 when something has its name, or a failure. Of
 * several processes that try at the same time one gets TR_OK. */
int tr_create_new(const char *path, const char *text, tr_error *err);
/* Where that is possible. */
void tr_remove_file(const char *path);
void tr_remove_empty_folder(const char *path);
bool tr_exists(const char *path);
bool tr_is_folder(const char *path);
/* What is at `path`, links followed. TR_PATH_UNKNOWN: something may be, *reason (may be NULL) says
 * in the system's words why that is unknown. */
typedef enum tr_path_kind {
    TR_PATH_NOTHING,
    TR_PATH_FILE,
    TR_PATH_FOLDER,
    TR_PATH_OTHER, /* a device, pipe or socket */
    TR_PATH_UNKNOWN,
} tr_path_kind;
tr_path_kind tr_look_at(const char *path, const char **reason);
/* The folder that relative paths start from (tr_free), or NULL with an error. */
char *tr_current_folder(tr_error *err);
/* Do both name one file that is there. */
bool tr_is_same_file(const char *a, const char *b);
/* `path` from the root on (tr_free): behind the folder that the program runs in unless it begins
 * with '/'. Links stay as they are. */
char *tr_absolute_path(const char *path, tr_error *err);

/* Resident size of the process, now and the largest so far, bytes; 0 where unknown. */
int64_t tr_resident_memory(void);
int64_t tr_peak_memory(void);
/* The resident size that the process can reach at most: the least of the machine's memory, the
 * limits of its control group and those above (v1, v2), and ulimit -v and -d, of which addresses in
 * use that are not resident are taken off. INT64_MAX where nothing is known. *name (may be NULL):
 * which limit it is ("the machine's memory"; "" where there is none). */
int64_t tr_memory_limit(const char **name);
/* The same for a system whose /proc and /sys are found below the folder `root` ("": this one). */
int64_t tr_memory_limit_under(const char *root, const char **name);
/* How many CPUs' worth of time the control group allows (cgroup v1 or v2); 0: no limit. */
double tr_cpu_quota(void);
/* The same for a system whose /proc and /sys are found below the folder `root` ("": this one). */
double tr_cpu_quota_under(const char *root);
/* The numbers of this process and of the calling thread, and whether a thread of this process is
 * still known to the system: one that was joined may be, for an instant, and counts in limits. */
long tr_process_id(void);
long tr_thread_id(void);
bool tr_thread_exists(long id);
/* What pthread_exit needs (libgomp's threads end by it) is loaded at once. Later, where there is no
 * memory left to load it, glibc ends the process. false: there is none now. */
bool tr_load_unwinder(void);
/* The CPUs that the calling thread may run on, in rising order (tr_free), or NULL where the system
 * does not say or there is no memory. */
int *tr_own_cpus(int *n);
/* CPUs that are switched on; at least 1. */
int tr_n_online_cpus(void);
/* The processor ("AMD EPYC 7R13 Processor"; the architecture where the system has no name for it)
 * and this machine, in plain ASCII; the first also for a system whose /proc is below `root`. */
void tr_cpu_name(char *out, size_t bytes);
void tr_cpu_name_under(const char *root, char *out, size_t bytes);
void tr_host_name(char *out, size_t bytes);
/* Now in UTC as ISO 8601 has it: "2024-02-29T12:00:00Z". */
enum { TR_DATE = 24 };
void tr_date(char out[TR_DATE]);
/* From now on the first SIGINT, SIGTERM, SIGHUP or SIGXCPU is noted only, and the next one ends the
 * process (the same one within a tenth of a second is not a next one). A signal that was ignored
 * before stays so. For programs, not for libraries. */
void tr_catch_signals(void);
/* The signal that was noted, or 0, and its name (name may be NULL). */
int tr_caught_signal(const char **name);
/* Flush subnormal numbers to zero in the calling thread. Every thread that computes calls it. */
void tr_flush_subnormals(void);
/* One pause of a spinning thread. */
static inline void tr_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Is standard output / error a terminal; its width in columns (80 where unknown). */
bool tr_is_terminal(int descriptor);
int tr_terminal_width(int descriptor);
/* Has the reader of this pipe or socket gone? */
bool tr_is_closed_pipe(int descriptor);
/* For a program's main: printing into a closed pipe or beyond the file-size limit fails as other
 * writes do, and does not end the process. (What is saved needs no such thing: os_save.c.) */
void tr_ignore_write_signals(void);
/* For a program's main, before it has threads: all of them allocate from one heap. glibc reserves
 * addresses for a heap of each thread, 64 MiB and more, which `ulimit -v` counts. */
void tr_use_one_heap(void);

#endif
