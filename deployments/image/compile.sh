#!/bin/sh
# compile.sh VENV APP: byte code that Python takes without looking at its source, the same in every
# build, and no file younger than SOURCE_DATE_EPOCH.
set -eu
venv=$1
app=$2
"$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    "$venv/lib" "$app/flows" "$app/blocks" "$app/deployments"
find "$venv" "$app" -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH:-0}" {} +
