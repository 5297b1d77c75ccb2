#!/usr/bin/env bash
# Installs what is missing, builds once in release, and runs every test.
#
#     Tests/run.sh [options of "swift test", such as --filter TsunaguStoreTests]
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== Packages"
Examples/install-packages.sh sqlite3 python3-cryptography python3-zstandard

echo "== Format"
swift format lint --strict --recursive Package.swift Sources Tests

echo "== Building"
swift build -c release --build-tests

echo "== Tests"
swift test -c release --skip-build "$@"

echo "== A whole ward"
"$(swift build -c release --show-bin-path)/tsunagu" demo
