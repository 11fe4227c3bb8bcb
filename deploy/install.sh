#!/bin/sh
# install.sh VENV REQUIREMENTS: a virtual environment with what the file asks for.
# uv where it is quickly had, because it takes seconds; pip otherwise.
set -eu
venv=$1 requirements=$2

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if [ ! -x "$venv/bin/python" ]; then
    python=
    for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
        if is_new_enough "$candidate"; then python=$candidate; break; fi
    done
    if [ -z "$python" ]; then
        echo "Python 3.11 or newer is needed (set PYTHON=/path/to/python to name one)." >&2
        exit 1
    fi
    if ! "$python" -m venv "$venv"; then
        echo "A virtual environment could not be made; on Debian and Ubuntu: apt install python3-venv" >&2
        exit 1
    fi
fi

uv=$(command -v uv || true)
if [ -z "$uv" ] && "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --timeout 15 uv 2>/dev/null; then
    uv="$venv/bin/uv"
fi
echo "Installing $requirements"
if [ -z "$uv" ] || ! "$uv" pip install --quiet --python "$venv/bin/python" -r "$requirements"; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
fi
