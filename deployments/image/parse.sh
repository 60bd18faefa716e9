#!/bin/sh
# parse.sh VENV APP: dbt packages installed and every project parsed, so that a pod begins warm. Byte code is
# left to compile.sh, which keeps what is there.
set -eu
venv=$1
app=$2
cd "$app"
PYTHONPATH=$app DO_NOT_TRACK=1 PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 \
    "$venv/bin/python" -m deployments.image.parse "$app/dbt_projects" "$app/parsed"
