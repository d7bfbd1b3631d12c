#!/bin/sh
# Cut a small CIFAR-10 out of the real one, in the same format: the first so many images of every
# class, in file order. tests/data/cifar10-mini was made with it and no arguments:
#
#     tools/make-mini-set.sh [FROM_DIR [TO_DIR]]
#
# 10 images a class from each training file, 25 a class from the test file: 500 and 250 images.
set -eu

repository=$(cd "$(dirname "$0")/.." && pwd)
from=${1:-$repository/data/cifar-10-batches-bin}
to=${2:-$repository/tests/data/cifar10-mini}
record=3073 # bytes: the label, then 32x32 of red, green and blue
scan=1000   # records to look through; enough of every class are among them

# cut_file FILE COUNT: the first COUNT records of each of the ten classes.
cut_file() {
    if [ ! -r "$from/$1" ]; then
        echo "make-mini-set: $from/$1 cannot be read; fetch it with tools/fetch-cifar10.sh" >&2
        exit 1
    fi
    head -c $((record * scan)) "$from/$1" | od -An -v -tu1 -w$record |
        awk -v count="$2" 'seen[$1]++ < count { print NR - 1 }' |
        while read -r index; do
            dd if="$from/$1" bs=$record skip="$index" count=1 status=none
        done >"$to/$1.part"
    size=$(wc -c <"$to/$1.part")
    if [ "$size" -ne $((record * 10 * $2)) ]; then
        rm -f "$to/$1.part"
        echo "make-mini-set: $from/$1: fewer than $2 of some class in the first $scan records" >&2
        exit 1
    fi
    mv "$to/$1.part" "$to/$1"
}

mkdir -p "$to"
for i in 1 2 3 4 5; do cut_file "data_batch_$i.bin" 10; done
cut_file test_batch.bin 25
echo "$to: 500 training and 250 test images"
