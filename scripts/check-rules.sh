#!/usr/bin/env bash
# Has promtool read the alert rules and try them on made-up series; installs Debian's package where that is possible.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v promtool >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update --quiet >/dev/null
  # The package would start a server that nobody here needs.
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --quiet --no-install-recommends prometheus >/dev/null
fi
if ! command -v promtool >/dev/null; then
  echo "promtool is missing, so deploy/*.rules.yml cannot be checked (install Debian's package prometheus)" >&2
  exit 1
fi
promtool check rules deploy/*.rules.yml
# With the rule files that it names.
promtool check config deploy/prometheus.yml
promtool test rules deploy/*.rules.test.yml
