/* `trainer --dry-run --json`, from outside. */
#include <stdlib.h>
#include <unistd.h>

#include "program.h"

static const char residual[] =
    "[data]\n"
    "type = synthetic\ntrain = 24\ntest = 8\nclasses = 5\n"
    "height = 9\nwidth = 8\n"
    "[transforms]\nnormalize = mean=0.1,0.2,0.3 std=0.5,0.5,1\n"
    "[loader]\nbatch_size = 7\n"
    "[block part width stride=1]\n"
    "conv = conv2d out_channels=$width kernel_size=3 stride=$stride "
    "padding=1 bias=false\n"
    "act = relu\n"
    "[network]\n"
    "stem = part width=4\n"
    "layer1.0 = part width=4\n"
    "sum = add from=layer1.0.act,stem.act\n"
    "pool = max_pool2d kernel_size=3 stride=2\n"
    "mean = avg_pool2d kernel_size=2x3 stride=1\n"
    "flat = flatten\n"
    "fc = linear out_features=5 frozen=bias weight_init=\"kaiming_normal(mode=fan_out, a=0.5)\"\n"
    "[loss]\ntype = cross_entropy\n"
    "[optimizer]\ntype = sgd\nlr = 0.3\nmomentum = 0.9\nnesterov = true\nclip_grad_value = 0.5\n"
    "[train]\naccumulate = 2\nepochs = 2\nseed = 9007199254740991\ngenerator = torch\n";

static void check_json(const json_t *got, const char *wanted) {
    json_t *object = json_loads(wanted, JSON_DECODE_ANY, NULL);
    ck_assert_msg(object != NULL, "%s", wanted);
    char *text = json_dumps(got, JSON_ENCODE_ANY | JSON_COMPACT);
    ck_assert_msg(json_equal(got, object), "%s\nis not\n%s", text, wanted);
    free(text);
    json_decref(object);
}

START_TEST(network_as_json) {
    program p;
    write_whole("residual.ini", residual, sizeof residual - 1);
    RUN(&p, "--config", "residual.ini", "--dry-run", "--quiet", "--json", "net.json");
    ck_assert_msg(p.code == 0 && !*p.out, "%s%s", p.out, p.err);
    json_t *net = load_json(".", "net.json"), *layers = json_object_get(net, "layers");
    check_json(json_object_get(net, "format"), "1");
    check_json(json_object_get(net, "network"), "\"residual\"");
    check_json(json_object_get(net, "data"),
               "{\"class\": \"synthetic\", \"arguments\": {\"train\": 24, \"test\": 8, "
               "\"classes\": 5, \"height\": 9, \"width\": 8, \"channels\": 3, "
               "\"noise\": 0.1}}");
    check_json(json_object_get(net, "transforms"),
               "[{\"class\": \"normalize\", \"arguments\": {\"mean\": [0.1, 0.2, 0.3], "
               "\"std\": [0.5, 0.5, 1.0]}}]");
    check_json(json_object_get(net, "input"), "[3, 9, 8]");
    check_json(json_object_get(net, "classes"), "5");
    check_json(json_object_get(net, "class_names"),
               "[\"class 0\", \"class 1\", \"class 2\", \"class 3\", \"class 4\"]");
    check_json(json_object_get(net, "loss"), "{\"class\": \"cross_entropy\", \"arguments\": {}}");
    check_json(json_object_get(net, "optimizer"),
               "{\"class\": \"sgd\", \"arguments\": {\"lr\": 0.3, \"clip_grad_norm\": 0.0, "
               "\"clip_grad_value\": 0.5, \"momentum\": 0.9, \"dampening\": 0.0, \"weight_decay\": "
               "0.0, \"nesterov\": true}}");
    check_json(json_object_get(net, "schedule"), "{\"class\": \"constant\", \"arguments\": {}}");
    check_json(json_object_get(net, "batch_size"), "7");
    check_json(json_object_get(net, "accumulate"), "2");
    check_json(json_object_get(json_object_get(net, "loader"), "drop_last"), "false");
    check_json(json_object_get(net, "steps_per_epoch"), "2");
    check_json(json_object_get(net, "epochs"), "2");
    check_json(json_object_get(net, "seed"), "9007199254740991");
    check_json(json_object_get(net, "generator"), "\"torch\"");
    ck_assert_uint_eq(json_array_size(layers), 9);
    check_json(json_array_get(layers, 0),
               "{\"name\": \"stem.conv\", \"class\": \"conv2d\", \"arguments\": "
               "{\"in_channels\": \"input\", \"out_channels\": 4, \"kernel_size\": 3, "
               "\"stride\": 1, \"padding\": 1, \"dilation\": 1, \"groups\": 1, "
               "\"bias\": false, \"padding_mode\": \"zeros\", \"frozen\": \"\", \"weight_init\": "
               "{\"class\": \"default\", "
               "\"arguments\": {}}, \"bias_init\": {\"class\": \"default\", \"arguments\": {}}}, "
               "\"inputs\": [\"input\"], \"output\": [4, 9, 8], \"parameters\": "
               "[{\"name\": \"stem.conv.weight\", \"shape\": [4, 3, 3, 3]}], \"buffers\": []}");
    check_json(
        json_object_get(json_array_get(layers, 5), "arguments"),
        "{\"kernel_size\": 3, \"stride\": 2, \"padding\": 0, \"dilation\": 1, \"ceil_mode\": "
        "false}");
    check_json(json_object_get(json_array_get(layers, 6), "arguments"),
               "{\"kernel_size\": \"2x3\", \"stride\": 1, \"padding\": 0, \"ceil_mode\": false, "
               "\"count_include_pad\": true, \"divisor_override\": \"none\"}");
    check_json(json_array_get(layers, 4),
               "{\"name\": \"sum\", \"class\": \"add\", \"arguments\": {}, \"inputs\": "
               "[\"layer1.0.act\", \"stem.act\"], \"output\": [4, 9, 8], \"parameters\": [], "
               "\"buffers\": []}");
    check_json(json_array_get(layers, 7),
               "{\"name\": \"flat\", \"class\": \"flatten\", \"arguments\": {\"start_dim\": 1, "
               "\"end_dim\": -1}, \"inputs\": "
               "[\"mean\"], \"output\": [12], \"parameters\": [], \"buffers\": []}");
    check_json(json_array_get(layers, 8),
               "{\"name\": \"fc\", \"class\": \"linear\", \"arguments\": {\"out_features\": 5, "
               "\"bias\": true, \"frozen\": \"bias\", \"weight_init\": {\"class\": "
               "\"kaiming_normal\", \"arguments\": {\"a\": 0.5, \"mode\": \"fan_out\", "
               "\"nonlinearity\": \"leaky_relu\"}}, \"bias_init\": {\"class\": \"default\", "
               "\"arguments\": {}}}, \"inputs\": [\"flat\"], \"output\": [5], \"parameters\": "
               "[{\"name\": \"fc.weight\", \"shape\": [5, 12]}, "
               "{\"name\": \"fc.bias\", \"shape\": [5]}], \"buffers\": []}");
    json_decref(net);
}
END_TEST

/* Names of files may be any bytes, JSON's text may not. */
START_TEST(name_that_is_no_text) {
    program p;
    write_whole("caf\xe9.ini", residual, sizeof residual - 1);
    RUN(&p, "--config", "caf\xe9.ini", "--dry-run", "--quiet", "--json", "cafe.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    json_t *net = load_json(".", "cafe.json");
    ck_assert(json_is_null(json_object_get(net, "network")));
    json_decref(net);
    ck_assert_int_eq(symlink("mini", "d\xe9"), 0);
    RUN(&p, "--config", TR_TEST_ROOT "/../configs/lenet.ini", "--dry-run", "--quiet", "--data",
        "d\xe9", "--json", "cafe.json");
    ck_assert_msg(p.code == 0, "%s", p.err);
    net = load_json(".", "cafe.json");
    json_t *args = json_object_get(json_object_get(net, "data"), "arguments");
    ck_assert(json_is_null(json_object_get(args, "root")));
    json_decref(net);
}
END_TEST

START_TEST(json_without_dry_run) {
    program p;
    write_whole("residual.ini", residual, sizeof residual - 1);
    RUN(&p, "--config", "residual.ini", "--json", "net2.json");
    check_failure(&p, 2,
                  "--json: goes with --dry-run (a run writes summary.json and metrics.jsonl)");
    RUN(&p, "--config", "residual.ini", "--dry-run", "--json", "nowhere/net.json");
    check_failure(&p, 2, "--json: there is no folder 'nowhere'");
    RUN(&p, "--config", "residual.ini", "--dry-run", "--quiet", "--json", "/dev/full");
    ck_assert_int_eq(p.code, 1);
    ck_assert_msg(strstr(p.err, "/dev/full"), "%s", p.err);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("description");
    TCase *group = tcase_create("description");
    tcase_set_timeout(group, 60);
    tcase_add_test(group, network_as_json);
    tcase_add_test(group, name_that_is_no_text);
    tcase_add_test(group, json_without_dry_run);
    suite_add_tcase(suite, group);
    return program_main(suite);
}
