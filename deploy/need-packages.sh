#!/bin/sh
# `make check` needs programs of the system: they are installed where that is allowed, else you are told how.
set -eu
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
for name in "$@"; do
    PATH="$PATH:/usr/sbin:/sbin"
    if command -v "$name" >/dev/null 2>&1; then continue; fi
    if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
        echo "Installing $name"
        $as_root apt-get update -qq >/dev/null
        if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$name" >/dev/null
        then continue; fi
    fi
    echo "make check needs $name. Debian, Ubuntu: sudo apt install $name · macOS: brew install $name" >&2
    exit 1
done
