#!/bin/sh
# The browser tests drive the system's Chromium. In CI, as root, it is installed; elsewhere you are told how.
set -eu
for name in "${CHROMIUM:-chromium}" chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if [ -x "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" ]; then exit 0; fi
if [ "${CI:-}" = true ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing Chromium"
    apt-get update -qq >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null
    exit 0
fi
echo "The tests need Chromium. Debian, Ubuntu: sudo apt install chromium · macOS: brew install --cask chromium" >&2
echo "Or name another one: CHROMIUM=/path/to/chrome make test" >&2
exit 1
