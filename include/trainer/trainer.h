/* The library's public interface: what the command line can do, a C program can do.
 *
 *     tr_error err = {0};
 *     tr_config *config;
 *     tr_summary summary;
 *     if (tr_config_read("configs/lenet.ini", &config, &err) ||
 *         tr_config_set(config, "train.epochs=1", &err) ||
 *         tr_train(config, NULL, NULL, &summary, &err))
 *         fprintf(stderr, "%s\n", err.text);
 *     tr_config_free(config);
 *
 * Different configurations may be used from different threads at the same time; one configuration
 * by one thread at a time. Structs are the caller's or, in events, the library's; what they point
 * at is the library's in either case. It is valid during the call that shows it (events), and else
 * (summaries, predictions, results of measuring) until the configuration of the call is freed or
 * used in the next call that computes; a summary's run_dir until the configuration is freed, so
 * that it may be passed to further calls.
 *
 * In a larger program. The calls that compute (tr_train, tr_dry_run, tr_evaluate,
 * tr_predict*, tr_bench_*, tr_check) run on threads of the library, which end with the call, while
 * the calling thread waits:
 *   - Its floating-point mode, locale, binding, signal mask, stack and OpenMP settings are not
 *     changed, not even for a listener, and do not change a result.
 *   - The library's threads block all signals but those that an instruction causes (SIGSEGV and its
 *     like): handlers run on the program's threads. Meanwhile the calling thread is not cancelable.
 *   - Threads that cannot be started give TR_ESYSTEM, and so does a stack of less than 64 KiB
 *     (OMP_STACKSIZE, ulimit -s). They are tried out first, as OpenMP ends a process that cannot
 *     start them: the program must not use up a limit on threads at the same moment.
 *   - In the child of a fork they give TR_ESYSTEM if the parent had computed before: call fork
 *     earlier, or exec after it. The child of a fork made in a listener gets TR_ESYSTEM when the
 *     listener returns. So do calls inside a parallel region of OpenMP.
 *   - Calls from two threads at once bind their threads to the same CPUs, which is slow but changes
 *     no result; sched_setaffinity on the calling thread gives each call its own CPUs.
 *   - The library stays in memory after dlclose.
 *   - OpenMP's variables: OMP_NUM_THREADS is the number for run.threads = auto (omp_set_num_threads
 *     is not: it belongs to the calling thread), OMP_THREAD_LIMIT holds for any number, binding is
 *     left to OpenMP where OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY is set; the others
 *     have no effect.
 *   - libgomp and hwloc print their own messages about a wrong environment or machine;
 *     HWLOC_HIDE_ERRORS=2 silences hwloc's, as the command line does.
 */
#ifndef TRAINER_TRAINER_H
#define TRAINER_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "0.1.0" */
TR_API const char *tr_version(void);

/* ---- configuration ---- */

typedef struct tr_config tr_config;

/* Read an INI file; `trainer help` lists sections and keys. Checks the grammar only: values are
 * checked by the call that uses them. Errors: TR_ECONFIG, TR_EIO, TR_ENOMEM. *out is NULL on
 * failure. */
TR_API int tr_config_read(const char *path, tr_config **out, tr_error *err);
/* Read another file over a configuration: its values win. The configuration keeps its name. A
 * failure may leave it half changed, fit only for tr_config_free. Errors as tr_config_read. */
TR_API int tr_config_merge(tr_config *config, const char *path, tr_error *err);
/* Override or add one value: "section.key=value", as after --set. The section is the longest one of
 * the configuration before a dot (block.basic.conv1=...), else what stands before the first dot. A
 * value in double quotes may hold \" \\ \n \xNN, any other is taken as it is. An empty value
 * removes a line of [network], [transforms] or [block ...], and the word before=NAME in a value
 * puts the line before the line NAME: "network.act=relu before=fc1". TR_ECONFIG changes nothing.
 * Errors: TR_ECONFIG, TR_ENOMEM. */
TR_API int tr_config_set(tr_config *config, const char *assignment, tr_error *err);
/* One value, byte for byte; `place` stands for the file in error messages ("--epochs"). All texts
 * are copied. Errors as tr_config_set. */
TR_API int tr_config_put(tr_config *config, const char *section, const char *key, const char *value,
                         const char *place, tr_error *err);
/* NULL is fine. */
TR_API void tr_config_free(tr_config *config);

/* ---- training ---- */

typedef struct tr_layer_row { /* one layer of the network, as configured */
    const char *name, *type;
    const char *output;     /* "6 x 28 x 28": channels, height, width */
    const char *fused_into; /* the layer that does this one's work at its end, or "" */
    int64_t parameters;
    double mflop; /* forward, one image: two for each multiply-add */
    int64_t kept; /* bytes that it keeps in the memory of the batch for each image between forward
                   * and backward; 0, too, where a thread goes on to backward with the same images,
                   * in its own memory */
    const char *algorithm; /* how it is computed where there is a choice: "dense"; else "" */
} tr_layer_row;

typedef struct tr_memory_row { /* a kind of memory */
    const char *name;          /* "parameters" */
    int64_t bytes;
} tr_memory_row;

typedef struct tr_plan_info { /* what will run, known before the first step */
    const char *network;      /* name of the configuration */
    int n_layers;
    const tr_layer_row *layers;
    int64_t parameters;                       /* PyTorch's count */
    double mflop;                             /* forward, one image */
    int64_t train_images, test_images, steps; /* steps in an epoch */
    int batch_size, epochs;
    int shard, n_shards, chunk, barriers; /* samples in a shard; shards in a batch; samples a thread
                                          takes at a time; barriers in a step */
    const char *placement;                /* "2 threads on 2 cores (CPUs 0-1), 1 NUMA node" */
    const char *isa;
    int workers, prefetch; /* loader threads (0: the team loads); batches that they have ready, at
                              work or in training at most (0 without them) */
    /* Memory by kinds: "parameters"; "optimizer": its state; "batch": what a whole batch keeps;
     * "threads": what each thread has for itself, all together; "data" sets; "loader": batches made
     * ahead of time; "test": all that testing needs; "output": buffers for files and pictures;
     * "program": the process without all of these. memory_total is their sum, which the process
     * holds at its peak. Where it is above memory_limit, the most that the process may hold,
     * training is refused (TR_ENOMEM) before any of it is allocated, and so is a dry run, after
     * TR_EVENT_PLAN.
     */
    int n_memory;
    const tr_memory_row *memory;
    int64_t memory_total;
    int64_t memory_limit;          /* INT64_MAX where none is known */
    const char *memory_limit_name; /* "the machine's memory", "the control group's memory limit" */
    /* The network with every layer written out, loss, optimizer, schedule, batch and seed, as JSON:
     * what --dry-run --json writes and tools/torch_net.py reads. */
    const char *json;
} tr_plan_info;

typedef struct tr_summary { /* of a run, as in summary.json */
    const char *run_dir;    /* "" after a dry run */
    uint64_t seed;
    int epochs;
    int64_t steps; /* done, all epochs */
    int threads, workers;
    const char *isa;
    int64_t test_images;
    double test_accuracy; /* fraction */
    double test_loss;     /* nats */
    double final_train_loss;
    int n_classes;
    const char *const *class_names;   /* [n_classes] */
    const double *per_class_accuracy; /* [n_classes] fractions; NAN for one without test images */
    double train_seconds;             /* without evaluation */
    double images_per_second;
    double data_wait_fraction;  /* of train_seconds: the team waited for a batch, or decoded it */
    double loader_wait_seconds; /* loader threads waited for a free slot, all together */
    int64_t peak_rss_bytes;
    char weights_sha256[65]; /* over parameters and buffers as in the file, in order */
    /* What is not known is NAN, "" or, for these two, -1: after how many steps of the run the model
     * was saved that weights_sha256 is of, and the last test was made. */
    int64_t model_steps, test_steps;
    const char *status; /* "completed", "stopped", "failed"; "" where the call left no run */
    const char *reason; /* why it is not completed, one line */
    const char *version, *started, *cpu; /* "0.1.0"; "2024-02-29T12:00:00Z"; the processor */
    int epochs_done, batch_size;
    int64_t train_images;
    int threads_run;       /* of `threads`: no more than CPUs and shards of a batch */
    const char *init_from; /* train.init_from from the root on; "" where weights are drawn */
} tr_summary;

typedef enum tr_event_kind {
    TR_EVENT_PLAN,     /* plan is set; nothing has run */
    TR_EVENT_PROGRESS, /* now and then, for a progress bar */
    TR_EVENT_LOG,      /* every log_every steps: loss is the mean since the last */
    TR_EVENT_EPOCH,    /* after the evaluation at the end of an epoch */
    TR_EVENT_END,      /* summary is set and the run directory complete */
    TR_EVENT_NOTE,     /* text: what may not be meant so; all right behind TR_EVENT_PLAN */
    TR_EVENT_WARNING,  /* text: what could not be done, while the run goes on without it */
    TR_EVENT_OPENING   /* before each part of data, network and memory is opened: no plan yet */
} tr_event_kind;

typedef struct tr_event {
    tr_event_kind kind;
    const tr_plan_info *plan; /* from TR_EVENT_PLAN on */
    const char *run_dir;      /* "" until the run has one */
    int epoch;                /* from 1 */
    int64_t step;             /* of the epoch, from 1 */
    int64_t global_step;      /* of the run, from 1 */
    double loss, lr, images_per_second;
    double train_loss, test_loss, test_accuracy, epoch_seconds; /* TR_EVENT_EPOCH */
    bool testing;              /* TR_EVENT_PROGRESS: the evaluation is under way */
    const tr_summary *summary; /* TR_EVENT_END */
    const char *text;          /* TR_EVENT_NOTE, TR_EVENT_WARNING: one line */
} tr_event;

/* Called on the thread that called tr_train, in whatever floating-point mode, locale and binding
 * that has. Must return. Returning other than 0 stops the run (TR_ECANCELED): the step is finished,
 * the model saved, and the summary's status is "stopped". At TR_EVENT_END nothing is left to stop:
 * the answer is ignored. */
typedef int (*tr_listener)(const tr_event *event, void *arg);

/* Train as configured and write the run directory, which is taken exclusively: of two runs that
 * try to take one folder at the same moment, one gets it, and no file that is there is replaced.
 * All errors in the configuration and the data are found before the first step. listener and
 * summary may be NULL. A call that fails fills the summary with what is known up to there, and so
 * is summary.json where there is a folder. A loss or weight that is not finite ends the run; such a
 * model is not saved. Installs no signal handlers: a program that is to stop at a signal returns
 * non-zero from its listener then. Errors: TR_ECONFIG, TR_EDATA, TR_EIO, TR_ENOMEM, TR_ENONFINITE
 * (with the step), TR_ECANCELED, TR_ESYSTEM. */
TR_API int tr_train(tr_config *config, tr_listener listener, void *arg, tr_summary *summary,
                    tr_error *err);
/* Everything up to the first step, without a run directory and without the memory of a run: one
 * TR_EVENT_PLAN, and the notes. Errors as tr_train, TR_ENONFINITE aside. */
TR_API int tr_dry_run(tr_config *config, tr_listener listener, void *arg, tr_error *err);

/* ---- using a trained network ---- */

/* The configuration of a finished run: RUN_DIR/config.ini, to be changed (data.root, run.threads)
 * and given to the calls below; the caller's, tr_config_free. *out is NULL on failure. Errors as
 * tr_config_read; TR_ECONFIG where RUN_DIR is no run's. */
TR_API int tr_config_of_run(const char *run_dir, tr_config **out, tr_error *err);

/* Notes of calls with this configuration: what is valid but may be a mistake, such as a data set
 * that is a subset. *n lines, each once. They are valid until the next call with it. (A listener
 * gets them as TR_EVENT_NOTE, too.) */
TR_API const char *const *tr_config_notes(const tr_config *config, int *n);

/* Test the weights in RUN_DIR/model.safetensors, which may be another program's: F32, F16, BF16 or
 * F64, a prefix that all names share ("module.") left out. Fills what the summary says of test,
 * classes, threads, speed, memory and weights. Errors as tr_train: TR_ENONFINITE where weights or
 * the loss are not finite numbers, TR_EDATA where names or shapes are not the network's. */
TR_API int tr_evaluate(tr_config *config, const char *run_dir, tr_summary *summary, tr_error *err);

typedef struct tr_prediction {
    int image; /* number in the test set */
    const char *truth, *predicted;
    double probability; /* softmax of the predicted class */
} tr_prediction;

typedef struct tr_class_probability {
    const char *name;   /* of the class */
    double probability; /* softmax */
} tr_class_probability;

enum { TR_PREDICT_DRAWN = 64 }; /* images that tr_predict draws at most, the first ones */

/* Predict `count` different test images (chosen by seed) into out[count] and draw them to the PNG
 * `picture` (NULL: do not). count is 1 up to the size of the test set, else TR_ECONFIG. The
 * picture replaces a file whole; a device or pipe is written into, and a named pipe waits for its
 * reader. Names in out[] are valid until the configuration is freed or the next call with it.
 * Errors as tr_evaluate. */
TR_API int tr_predict(tr_config *config, const char *run_dir, int count, uint64_t seed,
                      tr_prediction *out, const char *picture, tr_error *err);
/* The same, with the n_top (1 or more) most probable classes of each image, the most probable
 * first: those of out[i] in top[i * n_top] and the following. Where there are fewer classes the
 * rest has the name NULL. Both arrays are the caller's. */
TR_API int tr_predict_top(tr_config *config, const char *run_dir, int count, uint64_t seed,
                          tr_prediction *out, int n_top, tr_class_probability *top,
                          const char *picture, tr_error *err);

/* ---- measuring ----
 * Arguments that make no sense give TR_ECONFIG and change nothing: NULL for a configuration or a
 * result, numbers of threads outside 1 to 1024, times that are not above 0 and at most a day. Other
 * errors as tr_train; after one the result is not to be read. Time is spent in steps: few of them
 * are run, however short the time. */

/* Threads that `threads = auto` runs: OMP_NUM_THREADS, else the physical cores this process may
 * use; no more than CPUs and OMP_THREAD_LIMIT allow. 1 where unknown. */
TR_API int tr_bench_cores(void);
/* Threads that can run at once. Of more, no more run, unless run.oversubscribe is set. */
TR_API int tr_bench_runnable(void);

/* Peak of fused multiply-adds, GFLOP/s, on this many threads, of which tr_bench_runnable() run at
 * most: the best of `runs` (1 or more). isa "auto" or NULL: the best. */
TR_API int tr_bench_peak(const char *isa, int threads, int runs, double *gflops, tr_error *err);

typedef struct tr_bench_row {
    const char *name;    /* "conv1 forward", "barrier", ... */
    bool overhead;       /* not a layer's own arithmetic */
    double microseconds; /* a step */
} tr_bench_row;
typedef struct tr_bench_step_result {
    int threads, n_rows;
    const tr_bench_row *rows; /* [n_rows] */
    /* Of the fastest decile of all steps, in windows of half a millisecond (other processes make
     * the rest longer): */
    double step_microseconds;     /* wall clock with the profile's timers off */
    double profiled_microseconds; /* with them on: the rows add up to this */
    double overhead_fraction;     /* rows with `overhead`, of the rows' sum */
    double images_per_second, gflops, peak_gflops;
    /* Of all steps: */
    double all_step_microseconds, all_overhead_fraction;
    int threads_asked; /* of which `threads` ran */
} tr_bench_step_result;
/* Train for about `seconds` and report where a step's time goes. */
TR_API int tr_bench_step(tr_config *config, double seconds, tr_bench_step_result *out,
                         tr_error *err);

typedef struct tr_bench_loader_result {
    int workers;
    double loader_images_per_second;   /* the loader alone */
    double training_images_per_second; /* training on all threads, data already there */
    int threads, threads_asked;        /* those that ran, and that were requested */
} tr_bench_loader_result;
/* The loader alone with `workers` workers (-1: as many as training has), against what training
 * consumes. */
TR_API int tr_bench_loader(tr_config *config, int workers, double seconds,
                           tr_bench_loader_result *out, tr_error *err);

typedef struct tr_bench_scaling_row {
    int threads; /* that ran */
    /* Of the fastest decile of the steps, as tr_bench_step: */
    double images_per_second, speedup, efficiency, gflops, peak_gflops, peak_fraction;
    double all_images_per_second; /* of all steps */
    int threads_asked;            /* threads[i] */
} tr_bench_scaling_row;
/* Train for about `seconds` on each of threads[0..n), alternately, and report in out[0..n) how
 * fast. n is 1 to 1024. speedup and efficiency are against one thread, which is measured, too,
 * where it is not in the list; a number that comes twice is measured once. Where the configuration
 * leaves the number of workers open, all rows have those of the most threads: a core that is idle
 * in one row would load for it. picture: a PNG to draw, or NULL. */
TR_API int tr_bench_scaling(tr_config *config, const int *threads, int n, double seconds,
                            tr_bench_scaling_row *out, const char *picture, tr_error *err);

/* ---- holding it against PyTorch ---- */

typedef struct tr_check_row { /* one tensor; the library's: fields are added at the end */
    const char *name;         /* in the file: "grad.conv1.weight" */
    bool past;                /* relative is above tolerance, or not a number */
    double relative, tolerance;
    int64_t elements, left_out; /* of them, those of an adaptive optimizer's step that are not
                                   compared: their gradient is below 1e-6 of the tensor's largest */
    double largest;             /* absolute difference */
    int n_dims;
    const int64_t *index; /* [n_dims] where that is, in PyTorch's order */
    double ours, theirs;  /* there */
} tr_check_row;

/* Compute one batch and the first training step as configured, and hold them against what another
 * program computed (tools/torch_check.py). The file is a safetensors file:
 *   input               [n, c, h, w], the batch; target [n], int64 classes
 *   param.NAME          parameters and buffers before the step; those of the configuration's seed
 *   buffer.NAME         where they are left out
 *   logits, loss, grad.NAME, grad.input, param_after.NAME, buffer_after.NAME
 *                       results, each of which may be left out
 *   metadata `mode`     train (the default) or eval
 * Data sets and transforms of the configuration are not opened. NAME are PyTorch's names; where one
 * tensor of a kind is there all of the network's must be. Names that are missing or left over, and
 * shapes that are not the network's, are TR_EDATA.
 *   For each result row(row, arg) is called on the calling thread; it is valid during that call.
 * relative is the L2 norm of the difference over that of the file's tensor; for tensors after the
 * step, over that of the change which the step made. The scale is at least 1e-2 of the largest
 * tensor's of the same kind (logits and loss are one). The tolerance is 1e-4 for logits and loss
 * and 1e-2 for all others, or `tolerance` for all where that is not 0; after a step it has the
 * rounding of the values added. *n_past (may be NULL): rows that are past theirs. Errors as
 * tr_train; TR_EDATA for the file. */
TR_API int tr_check(tr_config *config, const char *reference, double tolerance,
                    void (*row)(const tr_check_row *row, void *arg), void *arg, int *n_past,
                    tr_error *err);

/* ---- help ---- */

/* The help page of a layer, loss, optimizer, schedule, data set, transform or section, from the
 * schema that parses it, or the places of a key; NULL topic: the list of all topics. Calls
 * line(text, arg) for each line; the text is valid during that call. Returns TR_OK, or TR_ECONFIG
 * with the nearest topic for one that is none. Thread-safe. */
TR_API int tr_help(const char *topic, void (*line)(const char *text, void *arg), void *arg,
                   tr_error *err);

#ifdef __cplusplus
}
#endif
#endif
