#!/bin/sh
# install.sh VENV [REQUIREMENTS]: a virtual environment of what flows need, each file checked by its
# hash. All but one package (halo, plain Python) have wheels: no compiler is needed.
set -eu
venv=$1
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
requirements=${2:-$here/requirements.lock}
python3 -m venv --without-pip "$venv"
python3 -m pip --python "$venv/bin/python" install --no-cache-dir --no-compile --quiet \
    --disable-pip-version-check --no-deps --prefer-binary --require-hashes \
    --requirement "$requirements"
