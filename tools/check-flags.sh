#!/usr/bin/env bash
# User flags that would change floating-point arithmetic change no weights, and what cannot be kept
# is refused while configuring. Compares builds with such flags to a program that is there.
#
#   tools/check-flags.sh [TRAINER]            default: build/trainer
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
trainer=${1:-build/trainer}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# weights PROGRAM ISA: the digest after a short training, which has overflow-free but rounded sums.
weights() {
    rm -rf "$scratch/run"
    "$1" --config configs/lenet.ini --data tests/data/cifar10-mini --epochs 1 --isa "$2" --quiet \
        --out "$scratch/run" >"$scratch/log"
    sed -n 's/.*"weights_sha256": "\(.*\)".*/\1/p' "$scratch/run/summary.json"
}
expected=$(weights "$trainer" auto)

# same COMPILER FLAGS
same() {
    local folder="$scratch/build" isa got
    rm -rf "$folder"
    CC=$1 CFLAGS=$2 meson setup "$folder" -Dtests=false >"$scratch/log" || { tail -n 3 "$scratch/log"; exit 1; }
    meson compile -C "$folder" >"$scratch/log" || { tail -n 20 "$scratch/log"; exit 1; }
    for isa in scalar auto; do
        got=$(weights "$folder/trainer" "$isa")
        if [ "$got" != "$expected" ]; then
            echo "check-flags: $1 $2: other weights with --isa $isa" >&2
            exit 1
        fi
    done
    for file in "$folder/trainer" "$folder/src/libtrainer.so"; do
        if nm "$file" | grep -q set_fast_math; then
            echo "check-flags: $1 $2: $file flushes subnormal numbers of the whole process" >&2
            exit 1
        fi
    done
    echo "same weights: $1 $2"
}
# refused WHAT OPTION...
refused() {
    if meson setup "$scratch/refused" -Dtests=false "${@:2}" >"$scratch/log"; then
        echo "check-flags: ${*:2} was accepted ($1)" >&2
        exit 1
    fi
    rm -rf "$scratch/refused"
    grep 'ERROR: ' "$scratch/log"
}

same gcc "-Ofast -march=native -mfpmath=387 -fsingle-precision-constant -mrecip"
same gcc "-ffast-math -funsafe-math-optimizations -ffinite-math-only -fassociative-math"
same clang "-Ofast -ffp-contract=fast -march=native"
refused "not C11" -Dc_std=c99
refused "a macro says so" -Dc_args=-D__FAST_MATH__
