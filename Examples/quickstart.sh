#!/usr/bin/env bash
# From a bare machine to a whole ward: installs what is missing, builds, and runs the demo.
#
#     Examples/quickstart.sh [options of "tsunagu demo", such as --residents 5000 or --keep DIR]
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== Packages"
Examples/install-packages.sh

echo "== Building (the first time takes some minutes)"
swift build -c release --static-swift-stdlib

echo "== A whole ward"
exec "$(swift build -c release --static-swift-stdlib --show-bin-path)/tsunagu" demo "$@"
