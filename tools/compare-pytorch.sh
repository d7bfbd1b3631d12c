#!/usr/bin/env bash
# How much faster than PyTorch is it? Trains LeNet in both on this machine, alternately in one run.
#
#   tools/compare-pytorch.sh [--batch N] [--rounds N] [--seconds N] [--threads "1 2"] [--data DIR]
#
# In a round each side trains on 1, 2, 4, ... threads up to the CPUs. The median over the rounds
# counts, and of each side the better number of threads. trainer runs as it always does, for the two
# epochs of configs/lenet.ini with the given batch (default 4): shuffling, decoding and logging
# are in its time. PyTorch gets tensors that lie ready in memory (tools/compare_pytorch.py), for
# --seconds a round (default 5). Run nothing else on the machine meanwhile.
#
# Needs PyTorch (Debian: python3-torch) and CIFAR-10 (tools/fetch-cifar10.sh). TRAINER names another
# program than build/trainer, PYTHON another Python.
set -euo pipefail
here=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "compare-pytorch: $*" >&2
    exit 1
}
usage='usage: tools/compare-pytorch.sh [--batch N] [--rounds N] [--seconds N] [--threads "1 2"]'
usage+=' [--data DIR]'

cpus=$(nproc)
threads=
for ((n = 1; n < cpus; n *= 2)); do threads+="$n "; done
threads+=$cpus
batch=4
rounds=5
seconds=5
data=data/cifar-10-batches-bin
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || fail "$usage"
    case $1 in
    --batch) batch=$2 ;;
    --rounds) rounds=$2 ;;
    --seconds) seconds=$2 ;;
    --threads) threads=$2 ;;
    --data) case $2 in /*) data=$2 ;; *) data=$here/$2 ;; esac ;;
    *) fail "unknown option '$1'; $usage" ;;
    esac
    shift 2
done
for n in "$batch" "$rounds" "$seconds" $threads; do
    [[ $n =~ ^[1-9][0-9]*$ ]] || fail "'$n' is not an integer from 1 on; $usage"
done

# PyTorch may belong to Debian's Python while another one is first in PATH.
python=
for candidate in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3; do
    if "$candidate" -c 'import torch' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "PyTorch is missing: apt-get install python3-torch (or PYTHON=... with it)"
[ -r "$data/data_batch_5.bin" ] || fail "no CIFAR-10 in $data: fetch it with tools/fetch-cifar10.sh"
trainer=${TRAINER:-$PWD/build/trainer}
case $trainer in /*) ;; *) trainer=$here/$trainer ;; esac
[ -x "$trainer" ] || fail "$trainer is missing: build it with tools/build.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
run=$scratch/run

# The value of a key of summary.json.
summary() {
    awk -F'[:,]' -v key="\"$1\"" '$1 ~ key { gsub(/[ "]/, "", $2); print $2; exit }' \
        "$run/summary.json"
}

for ((round = 1; round <= rounds; round++)); do
    for n in $threads; do
        "$python" tools/compare_pytorch.py "$data" "$batch" "$n" "$seconds" >>"$scratch/pytorch-$n"
        rm -rf "$run"
        "$trainer" --config configs/lenet.ini --data "$data" --set loader.batch_size="$batch" \
            --threads "$n" --out "$run" --quiet >"$scratch/log"
        summary images_per_second >>"$scratch/trainer-$n"
        printf 'round %d, threads %d: PyTorch %s, trainer %.0f images/s\n' "$round" "$n" \
            "$(tail -n 1 "$scratch/pytorch-$n")" "$(tail -n 1 "$scratch/trainer-$n")"
    done
done

median() {
    sort -g "$1" | awk '{ v[NR] = $1 }
        END { printf "%.0f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}
# The number of threads on which a side is fastest.
best() {
    for n in $threads; do echo "$(median "$scratch/$1-$n") $n"; done | sort -g |
        awk 'END { print $2 }'
}

printf '\n%7s %12s %12s   images/s, batch %d, median of %d rounds\n' threads PyTorch trainer \
    "$batch" "$rounds"
for n in $threads; do
    printf '%7d %12d %12d\n' "$n" "$(median "$scratch/pytorch-$n")" \
        "$(median "$scratch/trainer-$n")"
done
p=$(best pytorch)
t=$(best trainer)
paste "$scratch/pytorch-$p" "$scratch/trainer-$t" | awk -v p="$p" -v t="$t" \
    -v a="$(median "$scratch/pytorch-$p")" -v b="$(median "$scratch/trainer-$t")" '
    { r = $2 / $1; if (NR == 1 || r < low) low = r; if (r > high) high = r }
    END {
        printf "ratio   %.1f (threads: PyTorch %d, trainer %d; single rounds: %.1f to %.1f)\n",
            b / a, p, t, low, high
    }'
printf 'with    PyTorch %s, %s (%s), %s\n' \
    "$("$python" -c 'import torch; print(torch.__version__)')" "$("$trainer" --version)" \
    "$(summary isa)" "$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)"
