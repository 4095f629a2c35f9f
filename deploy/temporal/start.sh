#!/bin/sh
# Runs one role of the Temporal server, `start.sh frontend|history|matching|worker`, with the server.yaml beside it.
# POSTGRES_ADDRESS (host:port), POSTGRES_USER and POSTGRES_PASSWORD are in the environment.
set -eu

# The others reach this process there: a container's own address, unless one is given.
: "${BIND_ON_IP:=$(hostname -i | cut -d ' ' -f 1)}"
export BIND_ON_IP

exec temporal-server --root "$(dirname "$0")" --config . --env server start --service "$1"
