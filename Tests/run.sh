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
# With the switch that puts deliberate defects in; the programs that people get have none.
export TSUNAGU_MUTANTS=1
swift build -c release --build-tests

echo "== Tests"
if [ $# -gt 0 ]; then
    swift test -c release --skip-build "$@"
else
    # Apart: what waits for sockets under a time limit would wait for the tests that keep all cores busy.
    swift test -c release --skip-build --skip TsunaguCarriersTests
    swift test -c release --skip-build --filter TsunaguCarriersTests
fi

bin=$(swift build -c release --show-bin-path)
echo "== Planted defects, each with the seed that finds it"
"$bin/simulate" --mutants --seeds 100
echo "== Wards by seed, for four minutes"
"$bin/simulate" --seconds 240
echo "== Wards whose machines are copied at any time, for half a minute"
"$bin/simulate" --forks --seconds 30

echo "== A whole ward"
"$bin/tsunagu" demo
