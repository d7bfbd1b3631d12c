#!/usr/bin/env bash
# Configures a build folder, when that has not been done, and compiles it.
#
#   tools/build.sh [FOLDER [MESON OPTION]...]     default: build
#
# Used by quickstart.sh, test.sh and .ci/run, so that there is one way to build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${1:-build}
shift $(($# > 0 ? 1 : 0))
if [ -f "$folder/build.ninja" ]; then
    [ $# -eq 0 ] || meson configure "$folder" "$@"
elif [ -f "$folder/meson-private/coredata.dat" ]; then # a configuration that was killed
    meson setup --reconfigure "$folder" "$@"
else
    meson setup "$folder" "$@"
fi
meson compile -C "$folder"
