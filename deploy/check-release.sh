#!/bin/sh
# Ends a build whose binary must not be released: check-release.sh BINARY yes|no, whether the feature `web` is to be in it.
set -eu
binary=$1
web=$2
told=$("$binary" --version)
echo "$told"

refuse() {
    echo "check-release: $1" >&2
    exit 1
}

# Silence is no proof: the line must be there and say no.
echo "$told" | grep -qx 'trust-simulator: no' || refuse "the binary believes forged certificates, or does not say; build it without the feature trust-simulator"
echo "$told" | grep -q "^web: $web " || refuse "the binary was to be built with web=$web, which decides its licence, and says otherwise"
# The image has no libraries that it could load.
if command -v readelf > /dev/null && readelf --dynamic "$binary" | grep -q NEEDED; then
    refuse "the binary needs shared libraries; build it with -C target-feature=+crt-static and an explicit --target"
fi
