#!/usr/bin/env bash
# From a fresh Debian 12 to a trained network: installs what is missing, builds, fetches CIFAR-10,
# trains LeNet and names its accuracy and pictures. Safe to run twice, and from any folder.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-deps.sh
tools/build.sh build

data=()
if ! tools/fetch-cifar10.sh; then
    echo "CIFAR-10 cannot be fetched: training on the small subset in tests/data/cifar10-mini."
    data=(--data tests/data/cifar10-mini)
fi

# The trainer keeps the terminal, for its progress bar, and takes the next free folder under runs/:
# the run is the newest summary that is younger than this moment.
start=$(mktemp)
trap 'rm -f "$start"' EXIT
build/trainer --config configs/lenet.ini "${data[@]}"
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
echo "Test accuracy: $accuracy"
echo "Pictures in $PWD/$run:${pictures:- none}"
