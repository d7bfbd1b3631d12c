/* The program's error messages: every error in a configuration or a command line is one line
 * on standard error and exit code 2, every failure of a run one line and exit code 1.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"
#include "setup/setup.h"

#define LENET TR_TEST_ROOT "/../configs/lenet.ini"

/* ---- exit code 2 ---- */

typedef struct error_case {
    int line; /* of the base, replaced by text */
    const char *text, *error;
} error_case;

static const error_case config_errors[] = {
    /* sections and keys */
    {10, "[netwrok]", "t.ini:10: netwrok: unknown section (did you mean 'network'?)"},
    {20, "[foo]",
     "t.ini:20: foo: unknown section, allowed are data, transforms, loader, network, block, loss, "
     "optimizer, "
     "schedule, train, engine, run"},
    {20, "[loader]", "t.ini:20: loader: section given twice (first on line 7, as [loader])"},
    {20, "[train", "t.ini:20: the section heading '[train' has no ']'"},
    {9, "shufle = true", "t.ini:9: loader.shufle: unknown key (did you mean 'shuffle'?)"},
    {21, "turns = 1",
     "t.ini:21: train.turns: unknown key, allowed are epochs, seed, generator, init_from, "
     "init_strict, accumulate, log_every"},
    {21, "lr = 0.1", "t.ini:21: train.lr: unknown key (optimizer has it: write optimizer.lr)"},
    {21, "batch_size = 8",
     "t.ini:21: train.batch_size: unknown key (loader has it: write loader.batch_size)"},
    {19, "lr = 0.1\nepochs = 1",
     "t.ini:20: optimizer.epochs: unknown key (train has it: write train.epochs)"},
    {21, "type = sgd",
     "t.ini:21: train.type: unknown key, allowed are epochs, seed, generator, init_from, "
     "init_strict, accumulate, log_every"},
    {20, "[run]\nshard = 4",
     "t.ini:21: run.shard: unknown key (engine has it: write engine.shard)"},
    {20, "[engine]\nthreads = 4",
     "t.ini:21: engine.threads: unknown key (run has it: write run.threads)"},
    {8, "threads = 1", "t.ini:8: loader.threads: unknown key (run has it: write run.threads)"},
    {16, "type = cross_entropy\nmomentum = 0.9",
     "t.ini:17: loss.momentum: unknown key (optimizer has it: write optimizer.momentum)"},
    {3, "root = x",
     "t.ini:3: data.root: unknown key, allowed are train, test, classes, height, "
     "width, channels, noise"},
    {9, "batch_size = 9", "t.ini:9: loader.batch_size: given twice (first on line 8)"},
    {19, "lr", "t.ini:19: 'lr' is neither [section] nor key = value"},
    {19, "lr: 0.1", "t.ini:19: 'lr:' should be 'lr ='"},
    {19, "", "t.ini:17: optimizer.lr: missing, it must be given (learning rate)"},
    {2, "", "t.ini:1: data.type: is missing, as in type = cifar10"},
    /* names of layers and other classes */
    {11, "conv1 = conv2 out_channels=4 kernel_size=3",
     "t.ini:11: conv1: unknown layer 'conv2' (did you mean 'conv2d'?)"},
    {2, "type = cifar", "t.ini:2: data.type: unknown data set 'cifar' (did you mean 'cifar10'?)"},
    {16, "type = crossentropy",
     "t.ini:16: loss.type: unknown loss 'crossentropy' (did you mean 'cross_entropy'?)"},
    {18, "type = sdg", "t.ini:18: optimizer.type: unknown optimizer 'sdg' (did you mean 'sgd'?)"},
    {11, "conv1 = conv2d out_chanels=4 kernel_size=3",
     "t.ini:11: conv1.out_chanels: unknown key (did you mean 'out_channels'?)"},
    {11, "conv1 = conv2d out_channels=4 kernel_size=3 kernel_size=3",
     "t.ini:11: conv1.kernel_size: given twice"},
    {12, "conv1 = relu", "t.ini:12: network.conv1: given twice (first on line 11)"},
    /* values: type, range, what follows a number */
    {8, "batch_size = many", "t.ini:8: loader.batch_size: many is not an integer"},
    {8, "batch_size = 8.5", "t.ini:8: loader.batch_size: 8.5 is not an integer"},
    {8, "batch_size = 8x", "t.ini:8: loader.batch_size: 8x is not an integer"},
    {8, "batch_size = 0",
     "t.ini:8: loader.batch_size: 0 is out of range, allowed are 1 to 16777216"},
    {8, "batch_size = 99999999999999999999",
     "t.ini:8: loader.batch_size: 99999999999999999999 is out of range, allowed are 1 to 16777216"},
    {8, "batch_size =", "t.ini:8: loader.batch_size: the value is missing"},
    {9, "shuffle = yes", "t.ini:9: loader.shuffle: 'yes' is not true or false"},
    {19, "lr = 0.1abc", "t.ini:19: optimizer.lr: 0.1abc is not a number"},
    {19, "lr = nan", "t.ini:19: optimizer.lr: nan is not a number"},
    {19, "lr = -1", "t.ini:19: optimizer.lr: -1 is out of range, allowed are 0 to 1000000"},
    {11, "conv1 = conv2d out_channels=4 kernel_size=3x",
     "t.ini:11: conv1.kernel_size: 3x is not a size, such as 3 or 3x1, allowed are 1 to 1024"},
    {11, "conv1 = conv2d out_channels=4 kernel_size=0",
     "t.ini:11: conv1.kernel_size: 0 is out of range, allowed are 1 to 1024"},
    {11, "conv1 = conv2d out_channels=4",
     "t.ini:11: conv1.kernel_size: missing, it must be given (height and width of the kernel)"},
    /* the graph */
    {12, "relu1 = relu from=convolution", "t.ini:12: relu1: from=convolution names no layer above"},
    {12, "relu1 = relu from=conv2", "t.ini:12: relu1: from=conv2 names no layer above"},
    {12, "relu1 = relu from=flatten",
     "t.ini:12: relu1: from=flatten names a layer that comes later (line 13), allowed are layers "
     "above"},
    {12, "relu1 = relu from=input",
     "t.ini:11: conv1: nothing reads this layer: name it in a from=, or take it out"},
    {11, "conv1 = conv2d out_channels=4 kernel_size=11 padding=1",
     "t.ini:11: conv1: kernel_size=11 is larger than the padded input of 10 x 10, allowed are 1 to "
     "10"},
    {12, "relu1 = max_pool2d kernel_size=7",
     "t.ini:12: relu1: kernel_size=7 is larger than the input of 4 x 6 x 6, allowed are 1 to 6"},
    {13, "",
     "t.ini:14: fc: linear wants features but its input is an image of 4 x 6 x 6: put a flatten "
     "layer "
     "before it"},
    {14, "fc = linear out_features=9",
     "t.ini:14: fc: the network's output is 9 but the data has 10 classes: end with a linear layer "
     "of "
     "out_features=10"},
    /* data against loader */
    {8, "batch_size = 25\ndrop_last = true",
     "t.ini:8: loader.batch_size: batch_size=25 is more than the 24 training images, and "
     "drop_last=true "
     "leaves no "
     "batch, allowed are 1 to 24"},
    {8, "drop_last = true\nbatch_size = 25",
     "t.ini:9: loader.batch_size: batch_size=25 is more than the 24 training images, and "
     "drop_last=true leaves no batch, allowed are 1 to 24"},
    {19, "lr = 0.1\nnesterov = true",
     "t.ini:20: optimizer.nesterov: nesterov=true needs a momentum above 0 and a dampening of 0, "
     "not 0 and 0"},
    {19, "lr = 0.1\nnesterov = true\nmomentum = 0.5\ndampening = 0.1",
     "t.ini:20: optimizer.nesterov: nesterov=true needs a momentum above 0 and a dampening of 0, "
     "not 0.5 and 0.1"},
    {20, "[run]\nisa = sclar\n[train]",
     "t.ini:21: run.isa: no instruction set 'sclar' in this build (did you mean 'scalar'?)"},
    {7, "[transforms]\nnormalise = mean=0 std=1\n[loader]",
     "t.ini:8: transforms: unknown transform 'normalise' (did you mean 'normalize'?)"},
};

START_TEST(config_error) {
    const error_case *f = &config_errors[_i];
    program p;
    write_config("t.ini", f->line, f->text);
    RUN(&p, "--config", "t.ini", "--out", "o");
    check_failure(&p, 2, f->error);
    ck_assert_int_ne(access("o", F_OK), 0); /* found before anything was written */
}
END_TEST

/* A batch of one value per channel, where PyTorch fails in the middle of an epoch. */
START_TEST(batch_too_small_for_a_layer) {
    program p;
    write_config("t.ini", 13, "flatten = flatten\nnorm = batch_norm1d");
    RUN(&p, "--config", "t.ini", "--out", "o", "--set", "loader.batch_size=23");
    check_failure(&p, 2,
                  "t.ini:7: loader.drop_last: the last batch of an epoch has 1 of the 24 training "
                  "images, but layer 'norm' (batch_norm1d) trains with 2 or more: set "
                  "drop_last=true, or another batch_size than 23");
    RUN(&p, "--config", "t.ini", "--out", "o", "--set", "loader.batch_size=1");
    check_failure(&p, 2,
                  "--set: loader.batch_size: batch_size=1, but layer 'norm' (batch_norm1d) trains "
                  "with 2 images or more in a batch");
    ck_assert_int_ne(access("o", F_OK), 0);
    RUN(&p, "--config", "t.ini", "--dry-run", "--set", "loader.batch_size=23", "--set",
        "loader.drop_last=true");
    ck_assert_int_eq(p.code, 0);
    RUN(&p, "--config", "t.ini", "--dry-run", "--set", "loader.batch_size=22");
    ck_assert_int_eq(p.code, 0);
    /* an image has more values of a channel */
    write_config("t.ini", 12, "norm = batch_norm2d");
    RUN(&p, "--config", "t.ini", "--dry-run", "--set", "loader.batch_size=1");
    ck_assert_int_eq(p.code, 0);
}
END_TEST

/* The same where a test would meet it: without running statistics, and for each map of one pixel.
 */
START_TEST(test_too_small_for_a_layer) {
    program p;
    write_config("t.ini", 13, "flatten = flatten\nnorm = batch_norm1d track_running_stats=false");
    RUN(&p, "--config", "t.ini", "--out", "o", "--set", "data.test=257");
    check_failure(&p, 2,
                  "t.ini:14: norm: batch_norm1d evaluates batches of 2 images or more, but the "
                  "last batch of 257 test images has 1");
    RUN(&p, "--config", "t.ini", "--out", "o", "--set", "data.test=1");
    check_failure(&p, 2,
                  "t.ini:14: norm: batch_norm1d evaluates batches of 2 images or more, but the "
                  "last batch of 1 test images has 1");
    ck_assert_int_ne(access("o", F_OK), 0);
    RUN(&p, "--config", "t.ini", "--dry-run", "--set", "data.test=258");
    ck_assert_int_eq(p.code, 0);
    RUN(&p, "--config", "t.ini", "--dry-run", "--set", "data.test=257", "--set",
        "network.norm=batch_norm1d");
    ck_assert_int_eq(p.code, 0);
    RUN(&p, "--config", "t.ini", "--quiet", "--out", "run", "--epochs", "1");
    ck_assert_int_eq(p.code, 0);
    RUN(&p, "predict", "--model", "run", "--count", "1");
    ck_assert_ptr_nonnull(strstr(p.err, "norm: batch_norm1d evaluates batches of 2 images or more, "
                                        "but the last batch of 1 test images has 1\n"));
    ck_assert_int_eq(p.code, 2);
    RUN(&p, "predict", "--model", "run", "--count", "2");
    ck_assert_int_eq(p.code, 0);
    write_config("t.ini", 12,
                 "pool = adaptive_avg_pool2d output_size=1\n"
                 "norm = instance_norm2d track_running_stats=true");
    RUN(&p, "--config", "t.ini", "--out", "o");
    check_failure(
        &p, 2,
        "t.ini:13: norm: instance_norm2d cannot train on inputs of 4 x 1 x 1: no batch is "
        "large enough");
    ck_assert_int_ne(access("o", F_OK), 0);
}
END_TEST

/* No section [loss]: two lines go. */
START_TEST(no_loss) {
    program p;
    char *all, *loss, *optimizer;
    write_config("t.ini", 0, NULL);
    all = read_whole("t.ini", NULL);
    loss = strstr(all, "[loss]");
    optimizer = strstr(all, "[optimizer]");
    memmove(loss, optimizer, strlen(optimizer) + 1);
    write_whole("t.ini", all, strlen(all));
    free(all);
    RUN(&p, "--config", "t.ini");
    ck_assert_ptr_nonnull(strstr(p.err, "t.ini: "));
    ck_assert_ptr_nonnull(strstr(p.err, "loss"));
    ck_assert_ptr_eq(strchr(p.err, '\n'), p.err + strlen(p.err) - 1);
    ck_assert_int_eq(p.code, 2);
}
END_TEST

typedef struct call {
    const char *args[10];
    const char *error;
} call;

static const call wrong_calls[] = {
    {{"--epochs", "1"}, "--config: is missing, as in trainer --config configs/lenet.ini"},
    {{"--config"}, "--config: needs a value: --config FILE"},
    {{"--config", ""}, "--config: needs a value: --config FILE"},
    {{"--config", "nowhere.ini"}, "nowhere.ini: cannot open: No such file or directory"},
    {{"--config", "."}, ".: is a folder, not a file"},
    {{"--config", "good.ini", "--thread", "2"},
     "unknown option '--thread' (did you mean '--threads'?), see trainer help"},
    {{"--config", "good.ini", "--frobnicate"}, "unknown option '--frobnicate', see trainer help"},
    {{"--config", "good.ini", "--config", "nowhere.ini"},
     "nowhere.ini: cannot open: No such file or directory"},
    {{"--config", "good.ini", "--epochs", "1", "--epochs", "1"}, "--epochs: given twice"},
    /* an error from the command line is reported there */
    {{"--config", "good.ini", "--config", "over.ini", "--set", "optimizer.momentum=0"},
     "--set: optimizer.momentum: nesterov=true needs a momentum above 0 and a dampening of 0, not "
     "0 "
     "and 0"},
    {{"--config", "good.ini", "--config", "over.ini", "--set", "loader.batch_size=25"},
     "--set: loader.batch_size: batch_size=25 is more than the 24 training images, and "
     "drop_last=true leaves no batch, allowed are 1 to 24"},
    {{"--config", "over.ini", "--config", "good.ini", "--set", "loader.batch_size=25", "--set",
      "network.fc="},
     "--set: loader.batch_size: batch_size=25 is more than the 24 training images, and "
     "drop_last=true leaves no batch, allowed are 1 to 24"},
    {{"--config", "good.ini", "--set", "network.last=relu", "--set",
      "network.relu1=relu from=last"},
     "--set: relu1: from=last names a layer that comes later (--set), allowed are layers above"},
    {{"--config", "good.ini", "--set", "network.conv1=relu from=fc"},
     "--set: conv1: from=fc names a layer that comes later (good.ini:14), allowed are layers "
     "above"},
    {{"--config", "good.ini", "--set", "data.type=cifar10"},
     "--set: data.type: cifar10 has no key 'train', which good.ini:3 gives (for synthetic)"},
    {{"--config", "good.ini", "--set", "network.fc2="},
     "--set: network.fc2: 'fc2' names no line of [network], allowed are conv1, relu1, flatten, fc"},
    {{"--config", "good.ini", "--set", "network.flatten="},
     "good.ini:14: fc: linear wants features but its input is an image of 4 x 6 x 6: put a flatten "
     "layer before it"},
    {{"--config", "good.ini", "--set", "train.lr=1"},
     "--set: train.lr: unknown key (optimizer has it: write optimizer.lr)"},
    {{"--config", "good.ini", "--quiet=yes"}, "--quiet: takes no value"},
    {{"train", "b"}, "b: 'train' takes no such argument, see trainer help train"},
    {{"train", "b", "c", "d", "e", "f", "g", "h", "i"}, "i: too many arguments, see trainer help"},
    {{"--config", "good.ini", "--count", "4"},
     "--count: is no option of 'train', see trainer help train"},
    {{"evaluate"},
     "unknown command 'evaluate', allowed are train, eval, predict, bench, check, help"},
    {{"trian"}, "unknown command 'trian' (did you mean 'train'?)"},
    {{"good.ini"}, "unknown command 'good.ini' (did you mean '--config good.ini'?)"},
    {{"evil", "--help"}, "unknown command 'evil' (did you mean 'eval'?)"},
    {{""}, "unknown command '', allowed are train, eval, predict, bench, check, help"},
    {{"--config", "good.ini", "--", "--quiet"},
     "unknown command '--quiet', allowed are train, eval, predict, bench, check, help"},
    {{"--config", "--quiet"}, "--config: needs a value: --config FILE"},
    {{"--config", "-v"}, "--config: needs a value: --config FILE"},
    {{"--v"}, "unknown option '--v': write --verbose"},
    {{"eval", "-v"}, "--verbose: is no option of 'eval', see trainer help eval"},
    {{"--config", "good.ini", "--threads", "all"},
     "--threads: run.threads: all is neither an integer nor a known word, allowed are 1 to "
     "1024, or auto"},
    {{"--config", "good.ini", "--threads", "0"},
     "--threads: run.threads: 0 is out of range, allowed are 1 to 1024, or auto"},
    {{"--config", "good.ini", "--threads", "-1"},
     "--threads: run.threads: -1 is out of range, allowed are 1 to 1024, or auto"},
    {{"--config", "good.ini", "--threads=1000000"},
     "--threads: run.threads: 1000000 is out of range, allowed are 1 to 1024, or auto"},
    {{"--config", "good.ini", "--epochs", "1.5"}, "--epochs: train.epochs: 1.5 is not an integer"},
    {{"--config", "good.ini", "--seed", "9223372036854775808"},
     "--seed: train.seed: 9223372036854775808 is out of range, allowed are 0 to 9007199254740991"},
    {{"--config", "good.ini", "--data", "x"},
     "--data: data.root: unknown key, allowed are train, test, classes, height, width, channels, "
     "noise"},
    {{"--config", "good.ini", "--isa", "skalar"},
     "--isa: run.isa: no instruction set 'skalar' in this build (did you mean 'scalar'?)"},
    {{"--config", "good.ini", "--set", "train.epochs"},
     "--set: 'train.epochs' is not of the form section.key=value"},
    {{"--config", "good.ini", "--set", "trian.epochs=1"},
     "--set: trian: unknown section (did you mean 'train'?)"},
    {{"--config", "good.ini", "--set", "train.epoch=1"},
     "--set: train.epoch: unknown key (did you mean 'epochs'?)"},
    {{"--config", "good.ini", "--set", "network.fc=linear out_features=x"},
     "--set: fc.out_features: x is not an integer"},
    {{"--config", "good.ini", "--out", "full"},
     "--out: run.out: 'full' has 'config.ini' already, which a run does not replace, "
     "allowed is a new or empty folder"},
    {{"--config", "good.ini", "--out", "full", "--dry-run"},
     "--out: run.out: 'full' has 'config.ini' already, which a run does not replace, "
     "allowed is a new or empty folder"},
    {{"--config", "good.ini", "--out", "good.ini"},
     "--out: run.out: 'good.ini' is there and is not a folder"},
    {{"--config", "good.ini", "--out", "good.ini/run"},
     "--out: run.out: good.ini: cannot make the folder: a file has this name"},
    {{"--config", "good.ini", "--set", "run.out=full"},
     "--set: run.out: 'full' has 'config.ini' already, which a run does not replace, "
     "allowed is a new or empty folder"},
    {{"eval"}, "--model: is missing, as in trainer eval --model runs/lenet"},
    {{"eval", "--model", "nowhere"}, "--model: 'nowhere' is not the folder of a run"},
    {{"predict", "--model", "."}, "--model: '.' holds no run: it has no config.ini"},
    {{"predict", "--model", "full", "--count", "0"},
     "--count: 0 is out of range, allowed are 1 to 16777216"},
    {{"predict", "--model", "full", "--count", "two"}, "--count: 'two' is not an integer"},
    {{"eval", "--model", "full", "--json", "no/e.json"}, "--json: there is no folder 'no'"},
    {{"bench"}, "bench: needs one of peak, step, loader, scaling"},
    {{"bench", "stpe"}, "bench: unknown benchmark 'stpe' (did you mean 'step'?)"},
    {{"bench", "peak", "--threads", "1,x"},
     "--threads: 'x' is not an integer, allowed are numbers as in --threads 1,2,4, or auto"},
    {{"bench", "scaling", "--config", "good.ini", "--threads", "1,,2"},
     "--threads: '' is not an integer, allowed are numbers as in --threads 1,2,4, or auto"},
    {{"bench", "peak", "--threads", "0"}, "--threads: 0 is out of range, allowed are 1 to 1024"},
    {{"bench", "step"},
     "--config: is missing, and its default configs/lenet.ini is not in this folder: name one, as "
     "in trainer bench step --config FILE"},
    {{"bench", "step", "--config", "good.ini", "--seconds", "0"},
     "--seconds: 0 is out of range, allowed are 0.001 to 86400"},
    {{"bench", "step", "--config", "good.ini", "--seconds", "nan"},
     "--seconds: 'nan' is not a number"},
    {{"bench", "peak", "--json", "nowhere/peak.json"}, "--json: there is no folder 'nowhere'"},
    {{"bench", "peak", "--json", "full"}, "--json: 'full' is a folder, not a file"},
    {{"bench", "peak", "--picture", "x.png"}, "--picture: only 'bench scaling' draws one"},
    {{"bench", "loader", "--config", "good.ini", "--workers", "999"},
     "workers: 999 is out of range, allowed are 0 to 256"},
    {{"help", "conv2"}, "help: there is no page 'conv2' (did you mean 'conv2d'?)"},
    {{"help", "--man", "--markdown"}, "--man: does not go with --markdown"},
    {{"help", "conv2d", "--man"},
     "--man: there is no document 'conv2d', allowed are trainer and trainer.ini"},
    {{"eval", "--markdown"}, "--markdown: is no option of 'eval', see trainer help eval"},
};

/* What is no option, and what is said to write. */
static const call other_options[] = {
    /* keys of the configuration */
    {{"--lr", "0.1"}, "'--lr': write --set optimizer.lr=0.1"},
    {{"--lr=0.1"}, "'--lr': write --set optimizer.lr=0.1"},
    {{"--lr"}, "'--lr': write --set optimizer.lr=VALUE"},
    {{"--lr", "--quiet"}, "'--lr': write --set optimizer.lr=VALUE"},
    {{"--lr", "-1"}, "'--lr': write --set optimizer.lr=-1"},
    {{"-lr", "0.1"}, "'-lr': write --set optimizer.lr=0.1"},
    {{"--lr", "1 'x"}, "'--lr': write --set 'optimizer.lr=1 '\\''x'"},
    {{"--optimizer.lr=3"}, "'--optimizer.lr': write --set optimizer.lr=3"},
    {{"--optimizer", "sgd"}, "'--optimizer': write --set optimizer.type=sgd"},
    {{"--batch-size", "8"}, "'--batch-size': write --set loader.batch_size=8"},
    {{"--Batch_Size", "8"}, "'--Batch_Size': write --set loader.batch_size=8"},
    {{"eval", "--momentum=0.9"},
     "'--momentum': write --set optimizer.momentum=0.9; also an argument of batch_norm2d, "
     "batch_norm1d, instance_norm2d"},
    {{"--shuffle", "--quiet"}, "'--shuffle': write --set loader.shuffle=true"},
    {{"--no-shuffle"}, "'--no-shuffle': write --set loader.shuffle=false"},
    {{"--type", "sgd"},
     "'--type': write --set data.type=sgd (or loss.type, optimizer.type, schedule.type)"},
    {{"--kernel-size", "5"},
     "'--kernel-size': it is an argument of conv2d, conv_transpose2d, max_pool2d, avg_pool2d, "
     "written in a line of [network]"},
    {{"--network", "relu"},
     "'--network': it is a section of the configuration, see trainer help network"},
    /* what an option stands for */
    {{"--root", "x"}, "'--root': write --data x"},
    {{"--dry_run"}, "'--dry_run': write --dry-run"},
    {{"-config", "x"}, "'-config': write --config x"},
    {{"\xE2\x80\x93threads", "2"}, "'\xE2\x80\x93threads': write --threads 2"},
    /* words of other programs */
    {{"--learning-rate", "1"}, "'--learning-rate': write --set optimizer.lr=1"},
    {{"-j", "4"}, "'-j': write --threads 4"},
    {{"--num_workers=2"}, "'--num_workers': write --workers 2"},
    {{"--gpu", "0"}, "'--gpu': trainer runs on the CPU, --threads N says on how many cores"},
    {{"--device=cuda"}, "'--device': trainer runs on the CPU, --threads N says on how many cores"},
    {{"--momentun", "0.9"}, "'--momentun' (did you mean '--set optimizer.momentum=0.9'?)"},
};

START_TEST(other_option) {
    program p;
    char wanted[256];
    program_run(&p, other_options[_i].args);
    snprintf(wanted, sizeof wanted, "unknown option %s", other_options[_i].error);
    check_failure(&p, 2, wanted);
}
END_TEST

typedef struct key_list {
    char keys[128][64];
    bool flag[128];
    int n;
} key_list;

static void collect_key(const tr_key_place *place, void *arg) {
    key_list *list = arg;
    if (place->argument) return;
    ck_assert_int_lt(list->n, 128);
    list->flag[list->n] = place->flag;
    snprintf(list->keys[list->n++], 64, "%s.%s", place->section, place->key);
}

/* Every key of every section, written as an option: what is said to write names it. */
START_TEST(every_key) {
    static key_list list;
    program p;
    list.n = 0;
    tr_each_key(collect_key, &list);
    ck_assert_int_ge(list.n, 25);
    for (int i = 0; i < list.n; i++) {
        char option[80], *dash;
        const char *key = strchr(list.keys[i], '.') + 1;
        snprintf(option, sizeof option, "--%s", key);
        while ((dash = strchr(option, '_'))) *dash = '-';
        RUN(&p, option, "7");
        if (strncmp(p.err, "unknown option", 14) != 0) continue; /* it is one */
        const char *write = strstr(p.err, "': write --");
        ck_assert_msg(p.code == 2 && write, "%s: %s", list.keys[i], p.err);
        if (strstr(write, "--set")) ck_assert_msg(strstr(write, list.keys[i]), "%s", p.err);
        ck_assert_msg(list.flag[i] || strstr(p.err, "7"), "%s", p.err);
    }
}
END_TEST

/* Help is given wherever it is asked for, whatever else is there. */
static const call help_calls[] = {
    {{"-h"}, "trainer " TR_VERSION ": trains"},
    {{"--help"}, "trainer " TR_VERSION ": trains"},
    {{"help", "-h"}, "trainer help "},
    {{"train", "--help"}, "trainer [train] "},
    {{"bench", "step", "-h"}, "trainer bench "},
    {{"bench", "stpe", "-h", "more", "words"}, "trainer bench "},
    {{"-h", "bench"}, "trainer bench "},
    {{"eval", "--model", "-h"}, "trainer eval "},
    {{"predict", "--frobnicate", "--threads", "-h"}, "trainer predict "},
    {{"--version", "eval", "-h"}, "trainer eval "},
    {{"--config", "nowhere.ini", "--set", "x", "-h"}, "trainer " TR_VERSION ": trains"},
};

START_TEST(help_call) {
    program p;
    program_run(&p, help_calls[_i].args);
    ck_assert_msg(p.code == 0 && p.err[0] == '\0', "%d: %s", p.code, p.err);
    ck_assert_msg(strstr(p.out, help_calls[_i].error) == p.out, "%s", p.out);
}
END_TEST

START_TEST(no_arguments) {
    program p, help;
    program_run(&p, (const char *const[]){NULL});
    RUN(&help, "-h");
    ck_assert_int_eq(p.code, 2);
    ck_assert_str_eq(p.out, "");
    ck_assert_str_eq(p.err, help.out);
    RUN(&p, "-V");
    ck_assert_str_eq(p.out, "trainer " TR_VERSION "\n");
    ck_assert_int_eq(p.code, 0);
}
END_TEST

/* As many --set as a command line holds; options may follow the command or stand before it. */
START_TEST(many_sets) {
    enum { SETS = 1000 };
    const char *args[2 * SETS + 8] = {"--dry-run", "train", "--quiet"};
    program p;
    int n = 3;
    for (int i = 0; i < SETS; i++) {
        args[n++] = "--set";
        args[n++] = i < SETS - 1 ? "train.epochs=x" : "train.epochs=1";
    }
    args[n++] = "--config=good.ini";
    args[n] = NULL;
    write_config("good.ini", 0, NULL);
    program_run(&p, args);
    ck_assert_msg(p.code == 0, "%s", p.err);
}
END_TEST

START_TEST(wrong_call) {
    program p;
    write_config("good.ini", 0, NULL);
    static const char over[] =
        "[optimizer]\nmomentum = 0.9\nnesterov = true\n[loader]\ndrop_last = "
        "true\n";
    write_whole("over.ini", over, strlen(over));
    mkdir("full", 0777);
    write_whole("full/config.ini", "", 0);
    program_run(&p, wrong_calls[_i].args);
    check_failure(&p, 2, wrong_calls[_i].error);
}
END_TEST

/* Sizes that no machine's memory holds: reported at their key, at once. */
START_TEST(no_memory) {
    static const struct {
        const char *first, *second, *start;
    } cases[] = {
        {"data.train=16000000", "data.height=1024",
         "--set: data.train: 16000000 training and 8 test images of 3 x 1024 x 1024 bytes in 10 "
         "classes need 45.8 TiB of memory; "},
        {"data.test=16000000", "data.height=1024", "--set: data.test: 24 training and 16000000 "},
    };
    program p;
    write_config("t.ini", 6, "width = 1024");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&p, "--config", "t.ini", "--set", cases[i].first, "--set", cases[i].second);
        ck_assert_int_eq(p.code, 2);
        ck_assert_msg(strstr(p.err, cases[i].start) == p.err, "%s", p.err);
        ck_assert_str_eq(p.out, "");
    }
}
END_TEST

START_TEST(unwritable_place) {
    program p;
    write_config("good.ini", 0, NULL);
    write_whole("runs", "", 0); /* where `runs/good` should go */
    RUN(&p, "--config", "good.ini");
    unlink("runs");
    check_failure(
        &p, 2,
        "runs: cannot make the folder: a file has this name (choose another place with --out)");
    if (geteuid() == 0) return; /* may write everywhere */
    mkdir("locked", 0555);
    RUN(&p, "--config", "good.ini", "--out", "locked");
    check_failure(&p, 2, "--out: run.out: locked: cannot create files here: Permission denied");
    RUN(&p, "--config", "good.ini", "--out", "locked/run");
    check_failure(&p, 2, "--out: run.out: locked/run: cannot make the folder: Permission denied");
}
END_TEST

START_TEST(wrong_data_folder) {
    program p;
    char here[4096], line[8192];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    snprintf(line, sizeof line,
             "--data: data.root: no folder 'nowhere' in the current folder '%s' with "
             "CIFAR-10's files (data_batch_1.bin ...); fetch it with tools/fetch-cifar10.sh",
             here);
    RUN(&p, "--config", LENET, "--data", "nowhere");
    check_failure(&p, 2, line);
    write_config("t.ini", 3, "root = d");
    size_t bytes;
    char *text = read_whole("t.ini", &bytes);
    char *type = strstr(text, "synthetic"), *rest = strstr(text, "[loader]");
    memcpy(type, "cifar10  ", 9);
    FILE *file = fopen("t.ini", "w");
    fprintf(file, "%.*sroot = d\n%s", (int)(strstr(text, "root") - text), text, rest);
    fclose(file);
    free(text);
    cut_mini("d", 10, 2);
    unlink("d/data_batch_4.bin");
    snprintf(line, sizeof line,
             "t.ini:3: data.root: 'd' in the current folder '%s' holds 4 of the 5 files "
             "that are needed, but no data_batch_4.bin; fetch it with tools/fetch-cifar10.sh",
             here);
    RUN(&p, "--config", "t.ini");
    check_failure(&p, 2, line);
}
END_TEST

/* ---- exit code 1 ---- */

static void change_byte(const char *path, size_t at, char to) {
    size_t bytes;
    char *data = read_whole(path, &bytes);
    ck_assert_uint_lt(at, bytes);
    data[at] = to;
    write_whole(path, data, bytes);
    free(data);
}

START_TEST(bad_data) {
    program p;
    cut_mini("d", 10, 2);
    ck_assert_int_eq(truncate("d/test_batch.bin", 5000), 0);
    RUN(&p, "--config", LENET, "--data", "d");
    check_failure(
        &p, 1,
        "trainer: d/test_batch.bin: offset 3073: 1927 stray bytes at the end: the size, 5000 "
        "bytes, is not a multiple of 3073");
    cut_mini("d", 10, 2);
    ck_assert_int_eq(truncate("d/data_batch_1.bin", 0), 0);
    RUN(&p, "--config", LENET, "--data", "d");
    check_failure(
        &p, 1,
        "trainer: d/data_batch_1.bin: offset 0: the file is empty, it should hold records of "
        "3073 bytes");
    cut_mini("d", 10, 2);
    change_byte("d/data_batch_3.bin", 3073, 10);
    RUN(&p, "--config", LENET, "--data", "d");
    check_failure(
        &p, 1,
        "trainer: d/data_batch_3.bin: offset 3073: label 10 of record 1 is not in the range 0 to "
        "9");
}
END_TEST

/* Two layers without anything between them multiply each other's steps: a learning rate of a
 * million is too large by far, and soon. */
START_TEST(nonfinite_loss) {
    program p;
    long long step = 0;
    static const char start[] = "trainer: the loss is ";
    write_config("nan.ini", 12, "relu1 = identity");
    RUN(&p, "--config", "nan.ini", "--quiet", "--out", "nan", "--epochs", "9", "--set",
        "optimizer.lr=1e6", "--set", "loader.batch_size=1");
    ck_assert_int_eq(p.code, 1);
    const char *at = strstr(p.err, " at step ");
    ck_assert_msg(strncmp(p.err, start, strlen(start)) == 0 && at, "%s", p.err);
    ck_assert_msg(sscanf(at, " at step %lld (epoch", &step) == 1, "%s", p.err);
    ck_assert_int_gt(step, 1);
    ck_assert_int_le(step, 24);
    ck_assert_ptr_nonnull(strstr(p.err, "try a smaller optimizer.lr than 1e+06"));
    ck_assert_ptr_eq(strchr(p.err, '\n'), p.err + strlen(p.err) - 1);
    json_t *summary = load_json("nan", "summary.json");
    ck_assert_str_eq(json_string_value(json_object_get(summary, "status")), "failed");
    json_decref(summary);
    ck_assert_int_ne(access("nan/model.safetensors", F_OK), 0);
}
END_TEST

/* The output is lost, the run is not; and nothing is printed into its files. */
START_TEST(lost_output) {
    program p;
    char sha[65], other[65];
    write_config("good.ini", 0, NULL);
    RUN(&p, "--config", "good.ini", "--quiet", "--out", "heard");
    ck_assert_int_eq(p.code, 0);
    weights_of("heard", sha);
    program_start(&p, (const char *const[]){"--config", "good.ini", "--out", "closed", NULL}, "");
    program_wait(&p);
    check_failure(&p, 1, "trainer: the output could not be written");
    weights_of("closed", other);
    ck_assert_str_eq(sha, other);
    RUN(&p, "eval", "--model", "closed");
    ck_assert_msg(p.code == 0, "%s", p.err);
    if (access("/dev/full", W_OK)) return;
    program_start(&p, (const char *const[]){"--config", "good.ini", "--out", "full-disk", NULL},
                  "/dev/full");
    program_wait(&p);
    check_failure(&p, 1, "trainer: the output could not be written");
}
END_TEST

/* Notes on the data are printed by eval, predict and bench, too; and the number of threads is that
 * of those that ran. */
START_TEST(notes_and_threads) {
    static const char note[] = "few: 8 test images, a subset: all of CIFAR-10 has 10000\n";
    static const char config[] =
        "[data]\ntype = cifar10\nroot = few\n[loader]\nbatch_size = 4\n[network]\n"
        "flatten = flatten\nfc = linear out_features=10\n[loss]\ntype = cross_entropy\n"
        "[optimizer]\ntype = sgd\nlr = 0.01\n[train]\nepochs = 1\n";
    program p;
    cut_mini("few", 20, 8);
    write_whole("few.ini", config, strlen(config));
    RUN(&p, "--config", "few.ini", "--quiet", "--out", "noted");
    ck_assert_msg(p.code == 0, "%s", p.err);
    RUN(&p, "eval", "--model", "noted", "--threads", "1000", "--json", "noted.json");
    ck_assert_msg(p.code == 0 && strstr(p.err, note), "%s", p.err);
    ck_assert_msg(strstr(p.out, "(1000 threads requested, ") != NULL, "%s", p.out);
    json_t *result = load_json(".", "noted.json");
    ck_assert_int_eq(json_integer_value(json_object_get(result, "threads")), 1000);
    json_int_t ran = json_integer_value(json_object_get(result, "threads_run"));
    ck_assert(ran >= 1 && ran <= 8); /* an image each */
    json_decref(result);
    RUN(&p, "predict", "--model", "noted", "--picture", "/dev/null");
    ck_assert_msg(p.code == 0 && strstr(p.err, note), "%s", p.err);
    RUN(&p, "bench", "step", "--config", "few.ini", "--seconds", "0.01");
    ck_assert_msg(p.code == 0 && strstr(p.err, note), "%s", p.err);
}
END_TEST

#define N(array) ((int)(sizeof(array) / sizeof(array)[0]))

static Suite *cli_suite(void) {
    Suite *suite = suite_create("cli");
    TCase *errors = tcase_create("errors");
    tcase_set_timeout(errors, 60);
    tcase_add_loop_test(errors, config_error, 0, N(config_errors));
    tcase_add_test(errors, no_loss);
    tcase_add_test(errors, batch_too_small_for_a_layer);
    tcase_add_test(errors, test_too_small_for_a_layer);
    tcase_add_loop_test(errors, wrong_call, 0, N(wrong_calls));
    tcase_add_loop_test(errors, other_option, 0, N(other_options));
    tcase_add_test(errors, every_key);
    tcase_add_loop_test(errors, help_call, 0, N(help_calls));
    tcase_add_test(errors, no_arguments);
    tcase_add_test(errors, many_sets);
    tcase_add_test(errors, unwritable_place);
    tcase_add_test(errors, no_memory);
    tcase_add_test(errors, wrong_data_folder);
    tcase_add_test(errors, bad_data);
    tcase_add_test(errors, nonfinite_loss);
    tcase_add_test(errors, lost_output);
    tcase_add_test(errors, notes_and_threads);
    suite_add_tcase(suite, errors);
    return suite;
}

int main(void) {
    return program_main(cli_suite());
}
