/* Errors: one code, one line of text.
 *
 * Every function of this library that can fail returns 0 or one of the negative codes below and
 * takes a `tr_error *` last. The first failure wins: a second tr_fail on the same tr_error keeps
 * the text that is there. A tr_error belongs to its caller and to one thread at a time.
 */
#ifndef TRAINER_ERROR_H
#define TRAINER_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define TR_API __declspec(dllexport)
#else
#define TR_API __attribute__((visibility("default")))
#endif

/* name, value, what it means */
#define TR_ERRORS(X)                                                                               \
    X(CONFIG, -1, "the configuration or the command line is wrong")                                \
    X(IO, -2, "a file could not be read or written")                                               \
    X(DATA, -3, "a data set is damaged")                                                           \
    X(NOMEM, -4, "out of memory")                                                                  \
    X(NONFINITE, -5, "a loss or a weight is not a finite number")                                  \
    X(CANCELED, -6, "stopped by the caller")                                                       \
    X(SYSTEM, -7, "the operating system refused")

enum tr_code {
#define X(name, value, meaning) TR_E##name = value,
    TR_ERRORS(X)
#undef X
        TR_OK = 0 /* C++98 takes no comma behind the last */
};

enum { TR_ERROR_TEXT = 1024 };

typedef struct tr_error {
    int code;                 /* TR_OK or one of tr_code */
    char text[TR_ERROR_TEXT]; /* one line without a newline; "" while code is TR_OK */
} tr_error;

/* What a code means, in a few words; "unknown error" for a value that is none. Thread-safe. */
TR_API const char *tr_error_meaning(int code);

#ifdef __cplusplus
}
#endif
#endif
