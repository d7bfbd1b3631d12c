#!/usr/bin/env bash
# From a fresh Debian 12 to a trained network: installs what is missing, builds, fetches CIFAR-10,
# trains LeNet and names its accuracy and pictures. Safe to run twice, and from any folder. Where
# CIFAR-10 cannot be fetched it trains on the subset that is in the tree, and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "quickstart: $*"; }
# give_up STATUS WHAT: the step before has said why.
give_up() {
    [ "$1" -lt 128 ] || exit "$1" # interrupted
    say "$2; mend that and run tools/quickstart.sh again, it goes on from there" >&2
    exit "$1"
}

tools/install-deps.sh || give_up $? "what the build needs could not be installed"
tools/build.sh build || give_up $? "the build failed"

# Without all of CIFAR-10 the subset in the tree, which needs more epochs to show anything: 2 of its
# 500 images reach 10 %, which is chance, 60 take seconds and reach three times that.
data=()
how="2 epochs of CIFAR-10"
status=0
tools/fetch-cifar10.sh || status=$?
[ "$status" -lt 128 ] || exit "$status" # interrupted
if [ "$status" -ne 0 ]; then
    say "CIFAR-10 cannot be fetched (see above): training on 500 of its images, which are in" \
        "tests/data/cifar10-mini, for 60 epochs instead of 2 on all 50,000"
    data=(--data tests/data/cifar10-mini --epochs 60)
    how="60 epochs of 500 images, as CIFAR-10 could not be fetched; all of it reaches about 54 % in 2"
fi

# The trainer keeps the terminal, for its progress bar, and takes the next free folder under runs/:
# the run is the newest summary that is younger than this moment.
start=$(mktemp)
trap 'rm -f "$start"' EXIT
build/trainer --config configs/lenet.ini "${data[@]}" || give_up $? "the training failed"
summary=
while IFS= read -r -d '' file; do
    if [ -z "$summary" ] || [ "$file" -nt "$summary" ]; then summary=$file; fi
done < <(find runs/ -mindepth 2 -maxdepth 2 -name summary.json -newer "$start" -print0)
if [ -z "$summary" ]; then
    echo "quickstart: the trainer left no summary.json under runs/" >&2
    exit 1
fi

run=${summary%/summary.json}
accuracy=$(awk -F'[:,]' '/"test_accuracy"/ { printf "%.2f %%", 100 * $2; exit }' "$summary")
pictures=
for picture in "$run"/*.png; do
    [ ! -e "$picture" ] || pictures+=" ${picture##*/}"
done
echo
echo "Test accuracy: $accuracy ($how)"
echo "Pictures in $PWD/$run:${pictures:- none}"
if [ "$status" -ne 0 ]; then
    echo "For the real result run tools/quickstart.sh again where there is a network, or put the six"
    echo "files of cifar-10-binary.tar.gz into data/cifar-10-batches-bin."
fi
