#!/bin/sh
# Waits until the Temporal server serves, then makes the namespace unless it exists. Address and namespace come from
# TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, which the CLI reads by itself.
set -eu
: "${TEMPORAL_ADDRESS:?not set: host:port of the Temporal server}"
: "${TEMPORAL_NAMESPACE:?not set: name of the namespace to make}"
tries=60

# $1 what is waited for; the rest: the command to repeat until it succeeds, every second. Its last words go to the log.
wait_until() {
  what=$1
  shift
  left=$tries
  until said=$("$@" 2>&1); do
    left=$((left - 1))
    if [ "$left" -le 0 ]; then
      echo "namespace: $what at $TEMPORAL_ADDRESS did not happen in $tries tries. Last answer: $said" >&2
      exit 1
    fi
    sleep 1
  done
  echo "namespace: $what"
}

serving() {
  temporal operator cluster health
}

# `describe` first, because a second `create` is an error. A server that has just started may refuse both for a moment.
present() {
  temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
    temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "${TEMPORAL_RETENTION:-7d}"
}

wait_until 'server is serving' serving
wait_until "$TEMPORAL_NAMESPACE is there" present
