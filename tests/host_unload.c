/* A host that loads the library, trains, unloads it and goes on, several times: LIBRARY is its
 * argument. Not linked with the library or OpenMP, so that dlclose could unload all of it. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "trainer/trainer.h"

enum { ROUNDS = 3 };

/* As in src/report/canvas.c: a leak checker asks the program, before the library is there. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libfontconfig\n";
}

static const char configuration[] = "[data]\ntype = synthetic\ntrain = 64\ntest = 16\n"
                                    "height = 8\nwidth = 8\n[loader]\nbatch_size = 8\nworkers = 1\n"
                                    "[network]\nflatten = flatten\nfc = linear out_features=10\n"
                                    "[loss]\ntype = cross_entropy\n"
                                    "[optimizer]\ntype = sgd\nlr = 0.01\n"
                                    "[run]\nthreads = 12\noversubscribe = true\n";

typedef int read_function(const char *path, tr_config **out, tr_error *err);
typedef int train_function(tr_config *config, tr_listener listener, void *arg, tr_summary *summary,
                           tr_error *err);
typedef void free_function(tr_config *config);

static int use(const char *library) {
    tr_error err = {0};
    tr_config *config = NULL;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    union {
        void *address;
        read_function *read;
        train_function *train;
        free_function *free;
    } read = {dlsym(handle, "tr_config_read")}, train = {dlsym(handle, "tr_train")},
      release = {dlsym(handle, "tr_config_free")};
    if (!read.address || !train.address || !release.address) return 1;
    int code = read.read("net.ini", &config, &err);
    if (code == TR_OK) code = train.train(config, NULL, NULL, NULL, &err);
    if (code) fprintf(stderr, "%s\n", err.text);
    release.free(config);
    if (dlclose(handle)) code = 1;
    /* OpenMP's threads may still be on their way out: their code must be there. */
    nanosleep(&(struct timespec){0, 20 * 1000 * 1000}, NULL);
    if (!dlopen(library, RTLD_NOW | RTLD_NOLOAD)) {
        fprintf(stderr, "%s was unloaded\n", library);
        return 1;
    }
    return code;
}

int main(int argc, char **argv) {
    char folder[] = P_tmpdir "/trainer-unload-XXXXXX", command[64];
    if (argc < 2 || !mkdtemp(folder) || chdir(folder)) return 1;
    FILE *file = fopen("net.ini", "w");
    int code = !file || fputs(configuration, file) < 0 || fclose(file) != 0;
    for (int i = 0; i < ROUNDS && code == 0; i++) code = use(argv[1]);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) || code;
}
