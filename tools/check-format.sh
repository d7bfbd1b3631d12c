#!/usr/bin/env bash
# Fails, naming the lines, where a C file is not laid out as .clang-format says. To mend a file:
# clang-format -i FILE
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

find src include tests tools -name '*.[ch]' -print0 | sort -z |
    xargs -0 -r clang-format --dry-run -Werror
