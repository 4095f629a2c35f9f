#!/bin/sh
# Makes the given namespaces what Uplift needs, as `uplift doctor --fix` does: closed workflows kept for 90 days, our
# search attributes. Runs to its end at every start. TEMPORAL_ADDRESS is in the environment.
set -eu

attributes='UpliftRollout UpliftCloud UpliftService UpliftRegion UpliftAccount UpliftResource UpliftTarget UpliftPhase
UpliftOutcome'

# Waits until a command succeeds; at last lets it tell why not.
await() {
  tries=0
  until "$@" >/dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 120 ]; then
      "$@"
      return
    fi
    sleep 1
  done
}

await temporal operator cluster health

for namespace in "$@"; do
  if temporal operator namespace describe --namespace "$namespace" >/dev/null 2>&1; then
    temporal operator namespace update --namespace "$namespace" --retention 90d
  else
    temporal operator namespace create --namespace "$namespace" --retention 90d
  fi
  # A new namespace is not at once found by everything.
  await temporal operator search-attribute list --namespace "$namespace"

  query=''
  for attribute in $attributes; do
    # One by one: of several names the CLI registers the first only (1.5.1).
    temporal operator search-attribute create --namespace "$namespace" --type Keyword --name "$attribute"
    query="${query:+$query AND }$attribute = 'x'"
  done
  # Registered is not yet usable: the server reads them again once a minute.
  await temporal workflow count --namespace "$namespace" --query "$query"
  echo "namespace $namespace is ready"
done
