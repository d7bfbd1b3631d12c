/* Commands, options, variables and exit codes: what parsing, errors, help and the manual read. */
#include "cli/table.h"

const tr_command tr_commands[TR_N_COMMANDS] = {
    {"train", TR_DO_TRAIN, "trainer [train] --config FILE [OPTION]...",
     "Train a network and write a run directory (the default command)."},
    {"eval", TR_DO_EVAL, "trainer eval --model RUN_DIR [OPTION]...",
     "Test the network of a run: loss, accuracy, and accuracy of each class."},
    {"predict", TR_DO_PREDICT, "trainer predict --model RUN_DIR [OPTION]...",
     "Predict random test images, print truth and prediction, and draw them."},
    {"bench", TR_DO_BENCH, "trainer bench peak|step|loader|scaling [--config FILE] [OPTION]...",
     "Measure the FMA peak, where a step's time goes, the loader alone, or the scaling over "
     "threads. Without --config: configs/lenet.ini. scaling takes a list of threads: --threads "
     "1,2,4."},
    {"check", TR_DO_CHECK, "trainer check --config FILE --reference FILE.safetensors [OPTION]...",
     "Compute one batch and one step, and hold them against a file of what PyTorch computed "
     "(tools/torch_check.py writes one): logits, loss, gradients, and parameters and buffers after "
     "the step. A line for each tensor: the L2 difference relative to the reference (after the "
     "step: to the change that it made), its tolerance, and the largest difference of an element. "
     "Exit code 1 where a tensor is past its tolerance. Dropout draws other masks than PyTorch: "
     "use p = 0, or a reference of mode eval."},
    {"help", TR_DO_HELP, "trainer help [COMMAND|SECTION|LAYER|KEY] [--markdown|--man]",
     "Explain a command, a section of a configuration, what it may name, or a key."},
};

const tr_option tr_option_table[TR_N_OPTIONS] = {
    {"--config", "FILE", offsetof(tr_options, config),
     TR_DO_TRAIN | TR_DO_BENCH | TR_DO_CHECK | TR_OPTION_REPEATS, NULL, NULL,
     "configuration (INI); may be repeated: later files win"},
    {"--reference", "FILE", offsetof(tr_options, reference), TR_DO_CHECK, NULL, NULL,
     "safetensors file with input, target, and what is to be compared"},
    {"--tolerance", "T", offsetof(tr_options, tolerance), TR_DO_CHECK, NULL, NULL,
     "of every tensor; without it 1e-4 for logits and loss, 1e-2 for the others"},
    {"--model", "RUN_DIR", offsetof(tr_options, model), TR_DO_EVAL | TR_DO_PREDICT, NULL, NULL,
     "run directory of a finished run"},
    {"--threads", "N|auto", offsetof(tr_options, threads),
     TR_DO_TRAIN | TR_DO_EVAL | TR_DO_PREDICT | TR_DO_BENCH | TR_DO_CHECK, "run", "threads",
     "threads of the team"},
    {"--workers", "N|auto", offsetof(tr_options, workers), TR_DO_TRAIN | TR_DO_EVAL | TR_DO_BENCH,
     "loader", "workers", "loader threads; 0: the team decodes the images"},
    {"--epochs", "N", offsetof(tr_options, epochs), TR_DO_TRAIN, "train", "epochs",
     "times through the training set"},
    {"--seed", "N", offsetof(tr_options, seed), TR_DO_TRAIN | TR_DO_PREDICT | TR_DO_CHECK, "train",
     "seed", "start of all random numbers"},
    {"--data", "DIR", offsetof(tr_options, data),
     TR_DO_TRAIN | TR_DO_EVAL | TR_DO_PREDICT | TR_DO_BENCH, "data", "root",
     "folder of the data set"},
    {"--out", "DIR", offsetof(tr_options, out), TR_DO_TRAIN, "run", "out",
     "run directory; without it the next free runs/NAME"},
    {"--set", "SECTION.KEY=VALUE", offsetof(tr_options, set),
     TR_DO_TRAIN | TR_DO_EVAL | TR_DO_PREDICT | TR_DO_BENCH | TR_DO_CHECK | TR_OPTION_REPEATS, NULL,
     NULL,
     "override one value of the configuration; may be repeated; network.NAME= removes a line"},
    {"--isa", "NAME", offsetof(tr_options, isa),
     TR_DO_TRAIN | TR_DO_EVAL | TR_DO_PREDICT | TR_DO_BENCH | TR_DO_CHECK, "run", "isa",
     "instruction set: auto, scalar, avx2, ... (what this build has)"},
    {"--dry-run", NULL, offsetof(tr_options, dry_run), TR_DO_TRAIN, NULL, NULL,
     "check everything, print the tables, do not train"},
    {"--quiet", NULL, offsetof(tr_options, quiet), TR_DO_TRAIN, NULL, NULL,
     "print nothing but the run directory and errors"},
    {"--verbose", NULL, offsetof(tr_options, verbose), TR_DO_TRAIN, NULL, NULL,
     "print what each layer keeps between forward and backward, too: bytes an image; also -v"},
    {"--count", "N", offsetof(tr_options, count), TR_DO_PREDICT, NULL, NULL,
     "test images to predict, none twice; default 4"},
    {"--picture", "FILE", offsetof(tr_options, picture), TR_DO_PREDICT | TR_DO_BENCH, NULL, NULL,
     "PNG to draw; where it is left out the next free RUN_DIR/predict.png or, for bench scaling, "
     "scaling.png"},
    {"--json", "FILE", offsetof(tr_options, json),
     TR_DO_TRAIN | TR_DO_EVAL | TR_DO_PREDICT | TR_DO_BENCH, NULL, NULL,
     "write the result as JSON, too; with --dry-run: the network with every layer and argument"},
    {"--seconds", "N", offsetof(tr_options, seconds), TR_DO_BENCH, NULL, NULL,
     "how long to measure, 0.5 as well; default 6"},
    {"--help", NULL, offsetof(tr_options, help), TR_DO_ALL, NULL, NULL,
     "explain the command; also -h"},
    {"--version", NULL, offsetof(tr_options, version), TR_DO_ALL, NULL, NULL,
     "print the version; also -V"},
    {"--markdown", NULL, offsetof(tr_options, markdown), TR_DO_HELP, NULL, NULL,
     "write the reference of all of it as Markdown: commands, sections, layers, every argument"},
    {"--man", NULL, offsetof(tr_options, man), TR_DO_HELP, NULL, NULL,
     "write the manual page trainer(1), or with trainer.ini behind help trainer.ini(5), for man"},
};

const tr_entry tr_variables[TR_N_VARIABLES] = {
    {"TRAINER_ISA", NULL, "",
     "instruction set of the kernels where neither --isa nor run.isa names one"},
    {"OMP_NUM_THREADS", NULL, "", "the number of threads where that is auto; of a list the first"},
    {"OMP_THREAD_LIMIT", NULL, "", "no more threads than this run, however many are requested"},
    {"OMP_PROC_BIND, OMP_PLACES, GOMP_CPU_AFFINITY", NULL, "",
     "OpenMP binds the threads to CPUs, and trainer does not; OMP_PROC_BIND=false: nobody does"},
    {"OMP_STACKSIZE", NULL, "", "bytes of a thread's stack; 64 KiB are enough"},
};

const tr_entry tr_exit_codes[TR_N_EXIT_CODES] = {
    {"0", NULL, "", "fine"},
    {"1", NULL, "", "failed while running; check: a tensor is past its tolerance"},
    {"2", NULL, "", "the configuration or an option is wrong"},
    {"129, 130, 143, 152", NULL, "",
     "a training was stopped by SIGHUP, SIGINT, SIGTERM or SIGXCPU"},
};
