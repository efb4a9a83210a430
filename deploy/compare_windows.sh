# shellcheck shell=bash
# Sourced by deploy/compare and its comparisons, after service.sh: windows in which wrk drives one of several
# services on the same pinned CPUs, one after the other, and what each window has cost.
#
# The caller sets `rows` (a line each, its name before the first |), `servers`, their `pid` and `url`,
# `seconds` and `connections`, and defines path_of ROW-LINE SERVER and driven ROW-LINE (who takes part).

# The CPUs that this process may use, one a line.
allowed_cpus() {
  awk '/^Cpus_allowed_list:/ {
    n = split($2, parts, ",")
    for (i = 1; i <= n; i++) {
      m = split(parts[i], ends, "-")
      for (c = ends[1]; c <= ends[m]; c++) print c
    }
  }' /proc/self/status
}
mapfile -t cpus < <(allowed_cpus)
case ${#cpus[@]} in
  1)
    server_cpus=${cpus[0]} client_cpus=${cpus[0]} threads=1
    echo "deploy/compare: one CPU for servers and wrk together: latencies mean little" >&2
    ;;
  2 | 3) server_cpus=${cpus[0]} client_cpus=${cpus[1]} threads=1 ;;
  *) server_cpus=${cpus[0]},${cpus[1]} client_cpus=${cpus[2]},${cpus[3]} threads=2 ;;
esac

# Both log what fails, to nowhere; what succeeds is not logged by either.
# shellcheck disable=SC2034 # read by service_start
service_quiet=1
declare -A pid url

# For the summaries in awk. A figure that is missing is "-" or nothing, one of lost requests "inf": a median leaves
# out the former and takes the latter for the greatest, a ratio is of numbers, and of what has none there is no verdict.
# shellcheck disable=SC2034 # read by who is sourced later
statistics='
  function known(x) { return x ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ }
  function median(list, n,    i, j, kept, middle, sorted) {
    for (i = 1; i <= n; i++) {
      if (!known(list[i]) && list[i] != "inf") continue
      middle = list[i] == "inf" ? 1e300 : list[i] + 0
      for (j = ++kept; j > 1 && middle < sorted[j - 1]; j--) sorted[j] = sorted[j - 1]
      sorted[j] = middle
    }
    if (kept == 0) return "-"
    middle = kept % 2 ? sorted[(kept + 1) / 2] : (sorted[kept / 2] + sorted[kept / 2 + 1]) / 2
    return middle >= 1e299 ? "inf" : middle
  }
  function difference(a, b) { return known(a) && known(b) ? a - b : "-" }
  function ratio_of(a, b) { return known(a) && known(b) && b + 0 > 0 ? a / b : "-" }
  function verdict(x, most) { return !known(x) ? "not measured" : x + 0 <= most + 0 ? "kept" : "NOT KEPT" }
  function show(x, digits, unit) { return known(x) ? sprintf("%." digits "f", x) unit : x == "" ? "-" : x }
  function number(x) { return known(x) ? sprintf("%.6g", x) : "null" }'

# start_server NAME COMMAND...: on the servers' CPUs.
start_server() {
  local name=$1
  shift
  service_start "$name" taskset -c "$server_cpus" "$@"
  pid[$name]=$service_pid url[$name]=$service_url
}

# User and system time of a process so far, in clock ticks.
cpu_ticks() {
  awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# counts SERVER PATH: what it has counted so far, "objects bytes requests heap_bytes cycles". Ours by the
# route that the path belongs to; a Go peer by its process, whose requests wrk counts.
counts() {
  case $1 in
    floor) echo 0 0 0 0 0 ;;
    go)
      curl -sS --fail "${url[go]}/debug/memstats" |
        sed 's/.*"mallocs":\([0-9]*\).*"total_alloc":\([0-9]*\).*"num_gc":\([0-9]*\).*/\1 \2 0 \2 \3/'
      ;;
    *)
      curl -sS --fail "${url[$1]}/metrics" |
        awk -v route="$(sed -E 's/\?.*//; s#/[0-9]+$#/{id}#' <<<"$2")" '
          $1 == "go_gc_cycles_total_gc_cycles_total" { cycles = $NF }
          index($0, "{route=\"" route "\"") == 0 { next }
          /^tailrace_http_request_alloc_objects_sum/ { objects += $NF }
          /^tailrace_http_request_alloc_bytes_sum/ { bytes += $NF }
          /^tailrace_http_request_alloc_objects_count/ { requests += $NF }
          /^tailrace_http_request_alloc_bytes_total.*kind="(heap|large)"/ { heap += $NF }
          END { printf "%.0f %.0f %.0f %.0f %s\n", objects, bytes, requests, heap, cycles == "" ? "-" : cycles }'
      ;;
  esac
}

drive() { # SECONDS URL: wrk's report on stdout
  local script=()
  if [[ $2 == */events ]]; then
    script=(-s deploy/events.lua)
  fi
  taskset -c "$client_cpus" wrk -t "$threads" -c "$connections" -d "$1" "${script[@]}" "$2"
}

# window ROW SERVER PATH: one line "row|server|requests/s|cpu_us|objects|bytes|heap_bytes|cycles a minute" in
# $scratch/windows.
window() {
  local before_cpu after_cpu before after
  before=$(counts "$2" "$3")
  before_cpu=$(cpu_ticks "${pid[$2]}")
  drive "$seconds" "${url[$2]}$3" >"$scratch/wrk"
  after_cpu=$(cpu_ticks "${pid[$2]}")
  after=$(counts "$2" "$3")
  if grep -E 'Non-2xx|Socket errors' "$scratch/wrk" >&2; then
    echo "deploy/compare: $2 answered $3 with errors" >&2
    return 1
  fi
  awk -v row="$1" -v server="$2" -v ticks=$((after_cpu - before_cpu)) -v hz="$(getconf CLK_TCK)" \
    -v seconds="$seconds" -v before="$before" -v after="$after" "$statistics"'
    $1 == "Requests/sec:" { rate = $2 }
    $2 == "requests" && $3 == "in" { requests = $1 }
    END {
      if (requests == 0) exit 1
      split(before, b, " "); split(after, a, " ")
      counted = server == "go" ? requests : a[3] - b[3]
      objects = bytes = heap = "-"
      if (counted > 0) {
        objects = (a[1] - b[1]) / counted; bytes = (a[2] - b[2]) / counted; heap = (a[4] - b[4]) / counted
      }
      cycles = difference(a[5], b[5])
      printf "%s|%s|%s|%s|%s|%s|%s|%s\n", row, server, rate, ticks * 1e6 / hz / requests, objects, bytes, heap,
        (known(cycles) ? cycles * 60 / seconds : "-")
    }' "$scratch/wrk" >>"$scratch/windows"
}

reverse_servers() { # who was last goes first in the next round
  mapfile -t servers < <(printf '%s\n' "${servers[@]}" | tac)
}

# measure ROUNDS: a second of each to warm up, then the windows. Leaves the rows in row_lines.
measure() {
  local line server round
  mapfile -t row_lines <<<"$rows"
  for line in "${row_lines[@]}"; do
    for server in $(driven "$line"); do
      drive 1 "${url[$server]}$(path_of "$line" "$server")" >/dev/null
    done
  done
  for ((round = 1; round <= $1; round++)); do
    echo "round $round of $1" >&2
    for line in "${row_lines[@]}"; do
      for server in $(driven "$line"); do
        window "${line%%|*}" "$server" "$(path_of "$line" "$server")"
      done
    done
    reverse_servers
  done
}

stop_servers() {
  local server
  for server in "${servers[@]}"; do
    service_stop "${pid[$server]}"
  done
}
