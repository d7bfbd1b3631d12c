#!/bin/sh
# The shared library exports what the headers declare as TR_API, no more and no less; global names
# of the static one begin with tr_, as they meet the names of whoever links it. Names with two
# underscores are the compiler's: builds with a sanitizer have some.
#
#   tests/exports.sh LIBRARY HEADER...
set -eu
library=$1
shift

LC_ALL=C
export LC_ALL
case $library in
*.a)
    nm -g --defined-only "$library" | awk '
        NF == 3 { n++; if ($3 !~ /^(tr_|__)/) { print "not a name of the library: " $3; bad = 1 } }
        END { if (n < 100) { print n + 0 " names only"; bad = 1 } exit bad }'
    ;;
*)
    declared=$(cat "$@" | grep -v '^#' | tr '\n' ' ' | grep -o 'TR_API[^(;]*(' |
        sed 's/ *($//; s/.*[ *]//' | sort)
    exported=$(nm -D --defined-only "$library" | awk '$NF !~ /^__/ { print $NF }' | sort)
    if [ -z "$declared" ] || [ "$declared" != "$exported" ]; then
        printf 'declared as TR_API:\n%s\nexported:\n%s\n' "$declared" "$exported"
        exit 1
    fi
    ;;
esac
