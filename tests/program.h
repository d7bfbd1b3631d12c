/* Starting the built `trainer` as a user would: arguments in; exit code, output and files out.
 *
 * program_main is the main of a test that does so: it makes a fresh folder, makes it the current
 * one, with the link `mini` to the small CIFAR-10 of the tests in it, runs the suite, and removes
 * the folder. The program is what TR_TRAINER names. Not thread-safe.
 */
#ifndef TR_PROGRAM_H
#define TR_PROGRAM_H

#include <check.h>
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

enum { PROGRAM_TEXT = 65536 };

typedef struct program {
    pid_t pid;
    int code;  /* exit code, or 256 + the signal that ended it */
    int place; /* its output goes to the files place.out and place.err */
    char out[PROGRAM_TEXT], err[PROGRAM_TEXT];
} program;

/* The program's file. */
const char *program_path(void);
/* Start with the arguments args[0], args[1], ... NULL. out: NULL, a file for its standard output,
 * or "" to give it none. */
void program_start(program *p, const char *const *args, const char *out);
/* Wait for its end: fills code, out and err. */
void program_wait(program *p);
/* Both. */
void program_run(program *p, const char *const *args);
#define RUN(p, ...) program_run(p, (const char *const[]){__VA_ARGS__, NULL})

/* Exit code, the one line on standard error, and nothing on standard output. */
void check_failure(const program *p, int code, const char *line);

/* A small configuration in `path`, with line `number` (from 1; 0: none) replaced by `text`: see
 * base in program.c. */
void write_config(const char *path, int number, const char *text);
/* A whole file; the number of bytes to *bytes where that is not NULL. free() it. */
char *read_whole(const char *path, size_t *bytes);
void write_whole(const char *path, const void *data, size_t bytes);
/* The folder `to` with the first `train` records (of all files together) and `test` records of
 * mini. */
void cut_mini(const char *to, int train, int test);
json_t *load_json(const char *folder, const char *name);
/* weights_sha256 of a run's summary.json. */
void weights_of(const char *run, char sha[65]);
/* Can this machine run the ISA? */
bool has_isa(const char *isa);

int program_main(Suite *suite);

#endif
