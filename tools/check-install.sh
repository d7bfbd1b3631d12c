#!/usr/bin/env bash
# Installs into a scratch folder and uses what is there as others would: the headers alone, README's
# example in C and in C++ by pkg-config (shared and static), by CMake, and as a Meson subproject.
# Every way must train to the same weights.
#
#   tools/check-install.sh            (needs g++ and cmake)
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix="$scratch/an installed place"

meson setup "$scratch/build" "$source" --prefix "$prefix" --libdir lib -Dtests=false \
    -Ddefault_library=both >"$scratch/log"
meson install -C "$scratch/build" >>"$scratch/log"
for file in bin/trainer lib/libtrainer.so lib/libtrainer.a include/trainer/trainer.h \
    libexec/trainer/fetch-cifar10.sh share/trainer/configs/lenet.ini share/doc/trainer/README.md \
    share/doc/trainer/reference.md share/doc/trainer/from-pytorch.md \
    share/man/man1/trainer.1 share/man/man5/trainer.ini.5; do
    [ -s "$prefix/$file" ] || { echo "check-install: $file is not installed" >&2; exit 1; }
done

# Two readers of manual pages find nothing wrong. (The pages have no date: builds are reproducible.)
for page in man1/trainer.1 man5/trainer.ini.5; do
    {
        groff -man -ww -z -Tascii "$prefix/share/man/$page" 2>&1
        mandoc -Tlint -W warning "$prefix/share/man/$page" | grep -v 'missing date' || true
    } >"$scratch/lint"
    [ ! -s "$scratch/lint" ] || { cat "$scratch/lint" >&2; exit 1; }
done
echo "manual pages"

# What the example needs where it runs.
cd "$scratch"
mkdir data
cp -r "$prefix/share/trainer/configs" .
ln -s "$source/tests/data/cifar10-mini" data/cifar-10-batches-bin
awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' "$source/README.md" >first.c
cp first.c first.cc

echo "headers alone"
for header in "$prefix"/include/trainer/*.h; do
    name=trainer/${header##*/}
    for language in "c -std=c99" "c -std=c11" "c++ -std=c++98" "c++ -std=c++17"; do
        # shellcheck disable=SC2086 # the language is two words
        echo "#include <$name>" | ${CC:-cc} -x $language -pedantic -Wall -Wextra -Werror -I "$prefix/include" \
            -fsyntax-only -
    done
done

expected=$("$prefix/bin/trainer" --config configs/lenet.ini --epochs 1 --quiet --out runs/expected >/dev/null &&
    sed -n 's/.*"weights_sha256": "\(.*\)".*/\1/p' runs/expected/summary.json)
export LD_LIBRARY_PATH="$prefix/lib"
check() { # TITLE PROGRAM
    "$2" >out
    grep -q "$expected" out || { echo "check-install: $1: other weights:" >&2; cat out >&2; exit 1; }
    echo "$1"
}

export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
flags() { pkg-config "$@" trainer; }
eval "${CC:-cc} -std=c99 -Wall -Werror first.c -o first-c $(flags --cflags --libs)"
check "C, pkg-config, shared" ./first-c
eval "${CXX:-c++} -Wall -Werror first.cc -o first-cc $(flags --cflags --libs)"
check "C++, pkg-config, shared" ./first-cc

mkdir cmake
cat >cmake/CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.10)
project(first C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(TRAINER REQUIRED IMPORTED_TARGET trainer)
add_executable(first ../first.c)
target_link_libraries(first PkgConfig::TRAINER)
END
cmake -S cmake -B cmake/build >>"$scratch/log"
cmake --build cmake/build >>"$scratch/log"
check "CMake's pkg-config module" cmake/build/first

# The static library alone: its pkg-config file names what it needs. (Beside a shared one that is for
# pkg-config --static, which also needs the static libraries' own dependencies, as libudev-dev.)
rm -r "$prefix/lib"
meson configure "$scratch/build" -Ddefault_library=static
meson install -C "$scratch/build" >>"$scratch/log"
[ ! -e "$prefix/lib/libtrainer.so" ]
eval "${CC:-cc} first.c -o static-c $(flags --cflags --libs)"
check "C, pkg-config, static" ./static-c
eval "${CXX:-c++} first.cc -o static-cc $(flags --cflags --libs)"
check "C++, pkg-config, static" ./static-cc
unset PKG_CONFIG_PATH LD_LIBRARY_PATH

mkdir -p host/subprojects
ln -s "$source" host/subprojects/trainer
cp first.c host
cat >host/meson.build <<'END'
project('host', 'c', default_options: ['warning_level=2'])
executable('first', 'first.c', dependencies: dependency('trainer', fallback: 'trainer'))
END
meson setup host/build host >>"$scratch/log"
meson compile -C host/build first >>"$scratch/log"
check "a subproject of Meson" host/build/first
