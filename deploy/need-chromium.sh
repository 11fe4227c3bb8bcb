#!/bin/sh
# need-chromium.sh VENV: the browser tests drive a Chromium. One that is there is taken; else it is installed from
# the system's packages, as root or by passwordless sudo; else by Playwright's own download. The tests find all.
set -eu
python="${1:-.venv}/bin/python"

# It may be there and lack a library of the system.
START='from playwright.sync_api import sync_playwright
with sync_playwright() as p: p.chromium.launch(args=["--no-sandbox"]).close()'

is_there() {
    for name in "${CHROMIUM:-chromium-headless-shell}" chromium chromium-browser google-chrome google-chrome-stable; do
        if command -v "$name" >/dev/null 2>&1; then return 0; fi
    done
    [ -x "${MAC_CHROME:-/Applications/Google Chrome.app/Contents/MacOS/Google Chrome}" ]
}

as_root() {
    if [ "$(id -u)" = 0 ]; then env DEBIAN_FRONTEND=noninteractive "$@"
    else sudo -n env DEBIAN_FRONTEND=noninteractive "$@"; fi
}

from_packages() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null || return 1
    echo "Installing Chromium from the system's packages"
    as_root apt-get update -qq >/dev/null 2>&1 || true
    # Without windows and tabs of its own it takes a quarter of the time; not every system has it.
    for package in chromium-headless-shell chromium; do
        as_root apt-get install -qq -y --no-install-recommends "$package" >/dev/null 2>&1 && is_there && return 0
    done
    return 1
}

from_playwright() {
    echo "Trying Playwright's own Chromium"
    "$python" -m playwright install chromium >/dev/null 2>&1 && "$python" -c "$START" >/dev/null 2>&1
}

if is_there || from_packages || from_playwright; then exit 0; fi
echo "The tests need Chromium, and it could not be installed: sudo apt-get install chromium (macOS: brew install" \
    "--cask chromium), or name one by CHROMIUM=/path/to/chrome make test" >&2
exit 1
