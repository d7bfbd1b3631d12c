#!/usr/bin/env bash
# The two networks of docs/from-pytorch.md: the configuration is accepted, trains, and has as many
# parameters as the text says. Where the interpreter PYTHON (default python3) has PyTorch, `trainer
# check` finds the same logits, gradients and step in the module beside it.
#
#   tests/from_pytorch.sh SOURCE_FOLDER TRAINER TRAINER_DOUBLE
set -euo pipefail
source=$(realpath "$1") trainer=$(realpath "$2") double=$(realpath "$3")
python=${PYTHON:-python3}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
fail() { echo "from_pytorch: $*" >&2; exit 1; }

# The first block of a language.
block() { awk -v start="\`\`\`$1" '$0 == start { on = 1; next } /^```/ && on { exit } on' "$source/docs/from-pytorch.md"; }
block ini >net.ini
block python >net.py

"$trainer" --config net.ini --data "$source/tests/data/cifar10-mini" --dry-run --json net.json >table
number=$(sed -n 's/.*, \([0-9,]*\) parameters:$/\1/p' "$source/docs/from-pytorch.md")
[ -n "$number" ] || fail "the document states no number of parameters"
grep -q "^total  *$number " table || { cat table >&2; fail "not $number parameters"; }
"$trainer" --config net.ini --data "$source/tests/data/cifar10-mini" --epochs 1 --quiet --out run >/dev/null
[ -s run/model.safetensors ] || fail "no model"

if ! "$python" -c 'import torch' 2>/dev/null; then
    echo "no PyTorch: the networks were not compared"
    exit 0
fi
for mode in train eval; do
    "$python" "$source/tools/torch_check.py" net.json net.safetensors --module net.py:Net --batch 8 \
        --dtype float64 --mode $mode
    "$double" check --config net.ini --reference net.safetensors --set loader.batch_size=8 \
        --tolerance 1e-8 | tail -n 1
done
