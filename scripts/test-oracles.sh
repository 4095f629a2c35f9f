#!/usr/bin/env bash
# The vendors' own Python clients drive the simulated clouds, their signers judge ours, and Python's time zones and
# dateutil judge the calendar vectors: `npm run test:oracles`.
# Installs them once, pinned, into a virtual environment in Uplift's cache folder.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-python3}"
refuse() {
  echo "$1" >&2
  echo '0 passed, 1 failed'
  exit 1
}
command -v "$python" >/dev/null ||
  refuse "$python is missing: install Debian's packages python3 and python3-venv, or name a Python >= 3.10 by PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
  refuse "$("$python" --version) is too old: name a Python >= 3.10 by PYTHON"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  refuse "$python cannot make virtual environments: install Debian's package python3-venv"
[ -f dist/simulator/server.js ] || refuse 'dist/ is missing: npm run build'

requirements=test/oracles/requirements.txt
cache="${UPLIFT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/uplift}"
version="$({ "$python" --version && cat "$requirements"; } | sha256sum | cut -c 1-12)"
environment="$cache/oracles-$version"
if [ ! -d "$environment" ]; then
  echo "installing the vendors' Python clients into $environment, once (about a minute)" >&2
  mkdir -p "$cache"
  partial="$(mktemp -d "$environment.partial-XXXXXX")"
  trap 'rm -rf "$partial"' EXIT
  "$python" -m venv "$partial"
  "$partial/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" ||
    refuse "the vendors' Python clients could not be installed: see pip's words above; it needs a package index (PyPI)"
  # Whole or not at all. When two runs install at once, the first one's stays.
  mv --no-target-directory "$partial" "$environment" 2>/dev/null || [ -d "$environment" ]
fi
# Huawei's client writes into the home folder.
home="$(mktemp -d)"
trap 'rm -rf "${partial:-$home}" "$home"' EXIT
HOME="$home" PYTHONDONTWRITEBYTECODE=1 "$environment/bin/python" -W ignore test/oracles
