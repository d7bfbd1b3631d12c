#!/usr/bin/env bash
# How fast is it beside PyTorch, and how much memory does it need? For any configuration:
#
#   tools/compare-pytorch.sh [CONFIG] [--batch N] [--rounds N] [--seconds N] [--threads "1 2"]
#                            [--data DIR] [--set SECTION.KEY=VALUE]... [--no-compile]
#   tools/compare-pytorch.sh --layers [--only LAYER]... [--rounds N] [--seconds N] [--threads N]
#
# The second is a table of each layer alone. tools/compare_pytorch.py and compare_layers.py do it
# and explain it; this finds a Python that has PyTorch (Debian:
# python3-torch). PYTHON names another one, TRAINER another program than build/trainer. Run nothing
# else on the machine meanwhile.
set -euo pipefail

# PyTorch may belong to Debian's Python while another one is first in PATH.
script=compare_pytorch.py
if [ "${1-}" = --layers ]; then
    script=compare_layers.py
    shift
fi
for python in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3; do
    if "$python" -c 'import torch' 2>/dev/null; then
        exec "$python" "$(dirname "${BASH_SOURCE[0]}")/$script" "$@"
    fi
    [ -z "${PYTHON:-}" ] || break
done
echo "compare-pytorch: PyTorch is missing in ${PYTHON:-python3}: apt-get install python3-torch," \
    "or PYTHON=... with it" >&2
exit 1
