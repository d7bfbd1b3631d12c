#!/usr/bin/env bash
# Installs what is missing, builds, and runs all tests. Safe to run twice, and from any folder.
#
#   tools/test.sh [MESON OPTION]...     for example -Dwerror=true
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools/install-deps.sh
tools/build.sh build "$@"
meson test -C build --print-errorlogs
