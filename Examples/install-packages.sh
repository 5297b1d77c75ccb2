#!/usr/bin/env bash
# Installs the Debian or Ubuntu packages that Tsunagu needs, and only those that are missing.
set -euo pipefail

packages=(libsqlite3-dev libcurl4-openssl-dev libzstd-dev)

if ! command -v swift >/dev/null; then
    echo "Swift 6.3 is needed and not on the PATH: see https://www.swift.org/install/linux/" >&2
    exit 69
fi

missing=()
for package in "${packages[@]}" "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
    sudo=""
    if [ "$(id -u)" -ne 0 ]; then sudo="sudo"; fi
    echo "Installing: ${missing[*]}"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
