#!/usr/bin/env bash
# A layer is a file and a word: adds one to a copy of the tree, touches nothing else, and sees it
# configured, explained, trained, and its gradients checked; a wrong gradient is found.
#
#   tests/add_layer.sh SOURCE_FOLDER
set -euo pipefail
source=$(cd "$1" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() { echo "add_layer: $*" >&2; exit 1; }

mkdir "$scratch/tree"
cd "$source"
tar cf - meson.build meson_options.txt README.md LICENSE include src docs configs tests tools |
    tar xf - -C "$scratch/tree"
cd "$scratch/tree"
cp -r src "$scratch/before"
[ ! -e src/ops/square.c ] || fail "there is a layer 'square'"

# The file.
cat >src/ops/square.c <<'END'
/* square: gain * x * x, element by element. */
#include "ops/ops.h"

typedef struct square_args {
    double gain;
} square_args;

static const tr_key keys[] = {
    {"gain", TR_KEY_FLOAT, offsetof(square_args, gain), "1", -4, 4, NULL, "factor of the square"},
};

static tr_real gain_of(const tr_work *w) {
    return (tr_real)((const square_args *)w->node->args)->gain;
}

static int shape(tr_node *node, tr_error *err) {
    (void)err;
    node->unfused = node->in[0];
    return TR_OK;
}

static void forward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i);
        tr_real *y = tr_y(w, i);
        for (int64_t e = 0; e < size; e++) y[e] = gain_of(w) * x[e] * x[e];
    }
}

static void backward(const tr_work *w) {
    int64_t size = tr_shape_size(w->node->out);
    for (int i = 0; i < w->n; i++) {
        const tr_real *x = tr_x(w, 0, i), *dy = tr_dy(w, i);
        tr_real *dx = tr_dx(w, 0, i);
        for (int64_t e = 0; e < size; e++) dx[e] = 2 * gain_of(w) * x[e] * dy[e];
    }
}

static void plan(const tr_node *node, const tr_request *request, tr_plan *out) {
    (void)node;
    tr_plan_map(out, request, true, forward, backward);
    if (request->need_dx[0]) tr_reads(out, TR_X, 0);
}

const tr_op tr_op_square = {
    .schema = {"square", "The square of each element times gain.", keys, 1, sizeof(square_args),
               "torch.square"},
    .min_inputs = 1,
    .max_inputs = 1,
    .shape = shape,
    .plan = plan,
};
END
# The word.
sed -i "s/^layer_names = \[/&'square', /" src/ops/meson.build

{
    meson setup build -Doptimization=1
    ninja -C build trainer tests/test_gradients_generated tests/test_manual
} >log 2>&1 || { tail -n 40 log >&2; fail "does not build"; }

build/trainer help square >page
grep -q '^square (layer, section \[network\])$' page || fail "no help page"
grep -q '^  gain  *number, -4 to 4; default 1$' page || fail "its argument is not in its help page"
grep -q 'https://docs.pytorch.org/docs/stable/generated/torch.square.html' page ||
    fail "PyTorch's page is not in its help page"
build/trainer help --markdown >reference.md
grep -q '^### square$' reference.md || fail "it is not in the reference"
build/tests/test_manual >log || { cat log >&2; fail "its texts are incomplete"; }

config=configs/smoke.ini
if build/trainer --config $config --dry-run --set "network.relu=square gian=2" 2>error; then
    fail "an unknown argument was taken"
fi
grep -q "relu.gian: unknown key (did you mean 'gain'?)" error || { cat error >&2; fail "another message"; }
build/trainer --config $config --quiet --out run --set "network.relu=square gain=0.5" >log
grep -q '^relu = square gain=0.5$' run/config.ini || fail "config.ini does not have it"

# Its gradients, over generated arguments, on one to three threads.
build/tests/test_gradients_generated --table >table || { grep -v '^ok' table >&2; fail "gradients"; }
grep -A 1 '^square ' table
[ "$(sed -n 's/^square  *\([0-9]*\) .*/\1/p' table)" -ge 36 ] || fail "too few networks with it"
sed -i 's/dx\[e\] = 2 \* gain/dx[e] = 3 * gain/' src/ops/square.c
ninja -C build tests/test_gradients_generated >log 2>&1 || { cat log >&2; fail "does not build"; }
if build/tests/test_gradients_generated >table; then fail "a wrong gradient was not found"; fi
[ "$(grep -c '^not ok' table)" -eq 1 ] || { grep '^not ok' table >&2; fail "others are wrong, too"; }
grep -q '^not ok.* square: ' table || fail "it is not named"

changed=$(diff -rq "$scratch/before" src | grep -v ': square.c$' || true)
[ "$changed" = "Files $scratch/before/ops/meson.build and src/ops/meson.build differ" ] ||
    fail "more was changed: $changed"
echo "a layer is a file and a word"
