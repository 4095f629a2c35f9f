#!/usr/bin/env bash
# Has docker-compose read docker-compose.yml with all its profiles; installs Debian's package where that is possible.
set -euo pipefail
cd "$(dirname "$0")/.."

if command -v docker-compose >/dev/null; then
  compose=(docker-compose)
elif docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update --quiet >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends docker-compose >/dev/null
  compose=(docker-compose)
else
  echo "docker-compose is missing, so docker-compose.yml cannot be checked (install Debian's package docker-compose)" >&2
  exit 1
fi

# An environment of its own: neither the caller's variables nor a file .env may hide what is missing.
nothing="$(mktemp)"
trap 'rm -f "$nothing"' EXIT
config() {
  env --ignore-environment PATH="$PATH" HOME="${HOME:-/}" "$@" \
    "${compose[@]}" --env-file "$nothing" --profile demo config
}

if config >/dev/null 2>&1; then
  echo 'docker-compose.yml is accepted without POSTGRES_PASSWORD: it must not hold a password of its own' >&2
  exit 1
fi
services="$(config POSTGRES_PASSWORD=only-for-this-check)"
for service in postgres setup-schema temporal-history temporal-matching temporal temporal-worker setup-namespaces ui \
  prometheus worker simulator worker-demo; do
  if ! grep --quiet "^  $service:" <<<"$services"; then
    echo "docker-compose.yml has no service $service" >&2
    exit 1
  fi
done
for script in deploy/*.sh; do sh -n "$script"; done
echo 'docker-compose.yml is sound'
