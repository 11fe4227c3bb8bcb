#!/bin/sh
# Programs of the system that a make target needs are installed where that is allowed, else you are told how.
# A program whose package has another name: program=package.
set -eu
as_root=""
[ "$(id -u)" = 0 ] || as_root="sudo -n"
for item in "$@"; do
    name=${item%%=*} package=${item##*=}
    PATH="$PATH:/usr/sbin:/sbin"
    if command -v "$name" >/dev/null 2>&1; then continue; fi
    if command -v apt-get >/dev/null 2>&1 && { [ -z "$as_root" ] || $as_root true 2>/dev/null; }; then
        echo "Installing $package"
        $as_root apt-get update -qq >/dev/null
        if $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$package" >/dev/null
        then continue; fi
    fi
    echo "This needs $name. Debian, Ubuntu: sudo apt install $package · macOS: brew install $package" >&2
    exit 1
done
