#!/usr/bin/env bash
# Prints the line coverage of src by all tests: a line for each file, with the lines that no test
# ran, and the total. Fails where the total is below 95 %, or a test fails.
#
#   tools/coverage.sh [FOLDER]       the build folder, default: build-coverage
#
# Kernels of an instruction set that this machine lacks are not counted: no test can run them here.
# Lines that several instruction sets compile are counted once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-build-coverage}
# Threads count at the same time, and lines are counted before they are moved about.
tools/build.sh "$folder" -Db_coverage=true -Doptimization=1 -Dc_args=-fprofile-update=atomic
find "$folder" -name '*.gcda' -delete
status=0
CK_TIMEOUT_MULTIPLIER=10 meson test -C "$folder" --print-errorlogs --timeout-multiplier 10 || status=$?

lacking=()
for objects in "$folder"/src/kernels/libkernels_*.a.p; do
    isa=${objects##*/libkernels_}
    isa=${isa%.a.p}
    if ! "$folder"/trainer --config configs/smoke.ini --isa "$isa" --dry-run --quiet >"$folder/isa.log" 2>&1
    then
        echo "this machine lacks $isa: its kernels are not counted"
        lacking+=("${objects##*/}")
    fi
done
python3 tools/coverage_report.py "$folder" 95 ${lacking[@]+"${lacking[@]}"} || status=$?
exit "$status"
