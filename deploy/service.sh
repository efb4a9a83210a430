# shellcheck shell=bash
# Sourced by the scripts that drive a running service: start it, learn its address, end it by its pid.
# The caller gets a scratch folder in `scratch`; folder and services end with the caller, on Ctrl-C too.

scratch=$(mktemp -d)
service_pids=()

service_end_all() {
  local pid
  for pid in "${service_pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true
  done
  for pid in "${service_pids[@]}"; do
    service_await "$pid" 10 || kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$scratch"
}
trap service_end_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# service_await PID SECONDS: waits until the process is gone (or is a zombie that `wait` may reap).
service_await() {
  local turns=$(($2 * 20))
  while kill -0 "$1" 2>/dev/null && [[ $(service_state "$1") != Z ]]; do
    if ((turns-- <= 0)); then
      return 1
    fi
    sleep 0.05
  done
}

service_state() {
  awk '{ sub(/.*\) /, ""); print $1 }' "/proc/$1/stat" 2>/dev/null || echo Z
}

# service_start NAME COMMAND...: sets `service_pid`, `service_url` and `service_admin` (may be empty)
# from the line "listening URL [admin URL]". Its output lies in $scratch/NAME.out and .err; with
# service_quiet=1 what it says on stderr (the log of requests too) is dropped.
service_start() {
  local name=$1 turns=1200 line errors=$scratch/$1.err
  shift
  : >"$scratch/$name.out"
  : >"$errors"
  if [[ ${service_quiet:-0} == 1 ]]; then
    errors=/dev/null
  fi
  # Appended, so that a reader may empty it while the service writes.
  "$@" >"$scratch/$name.out" 2>>"$errors" &
  service_pid=$!
  service_pids+=("$service_pid")
  until line=$(grep -m 1 '^listening ' "$scratch/$name.out"); do
    if ! kill -0 "$service_pid" 2>/dev/null || ((turns-- <= 0)); then
      echo "$0: $name did not start: $*" >&2
      tail -n 20 "$scratch/$name.err" >&2
      return 1
    fi
    sleep 0.05
  done
  service_url=$(awk '{ print $2 }' <<<"$line")
  service_admin=$(awk '{ print $4 }' <<<"$line")
}

# service_stop PID: asks it to drain and fails unless it ends with 0 within a minute.
service_stop() {
  local pid status=0 rest=()
  kill -TERM "$1"
  if ! service_await "$1" 60; then
    echo "$0: process $1 did not end on SIGTERM" >&2
    return 1
  fi
  wait "$1" || status=$?
  for pid in "${service_pids[@]}"; do
    if [[ $pid != "$1" ]]; then
      rest+=("$pid")
    fi
  done
  service_pids=("${rest[@]}")
  if ((status != 0)); then
    echo "$0: process $1 ended with $status instead of 0" >&2
  fi
  return "$status"
}
