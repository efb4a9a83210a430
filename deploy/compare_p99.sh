# shellcheck shell=bash
# Sourced by deploy/compare after compare_windows.sh: P99 of all servers at one rate, in an open loop.
#
# The rate is 0.7x the lowest of the rates that wrk reached, and never more than the generator may ask for: all
# are measured where they still answer what comes. Windows alternate. One in which the generator was late
# (tailrace-load says invalid) is dropped on its side; the median of the others' P99 is compared.

declare -A p99_rate

# The median of wrk's requests/s of a ROW and SERVER.
p99_saturation() {
  awk -F '|' -v row="$1" -v server="$2" "$statistics"'
    $1 == row && $2 == server { rate[++n] = $3 }
    END { print median(rate, n) }' "$scratch/windows"
}

# What this generator may ask for, on the CPUs that are its own.
p99_ceiling() {
  XDG_CACHE_HOME=$scratch taskset -c "$client_cpus" "$build/bin/tailrace-load" selfcheck --quiet -t "$threads" |
    awk '/^CEILING/ { gsub(",", "", $NF); print $NF }'
}

# p99_window ROW SERVER PATH RATE SEED: appends "row|server|p99|p50" in us, "inf" if requests were lost, or
# "row|server|dropped".
p99_window() {
  local status=0 scenario=()
  if [[ $3 == */events ]]; then
    sed "s|^\( *path: \).*|\1$3|" loadtest/scenarios/events.yaml >"$scratch/events.yaml"
    scenario=(--scenario "$scratch/events.yaml")
  fi
  XDG_CACHE_HOME=$scratch taskset -c "$client_cpus" "$build/bin/tailrace-load" run "${url[$2]}$3" -r "$4" \
    -d "${seconds}s" --warmup 1s -t "$threads" -c "$connections" --seed "$5" --metrics off --quiet \
    --json "$scratch/p99.json" "${scenario[@]}" || status=$?
  case $status in
    0)
      awk -v row="$1" -v server="$2" '
        /"response": \{/ { inside = 1 }
        inside && /"p50_ns"/ { p50 = us($2) }
        inside && /"p99_ns"/ {
          print row "|" server "|" us($2) "|" p50
          exit
        }
        function us(text) {
          gsub(/[",]/, "", text)
          return text == "inf" ? "inf" : text ~ /^[0-9]/ ? text / 1000 : "-"
        }' "$scratch/p99.json" >>"$scratch/p99-windows"
      ;;
    3) echo "$1|$2|dropped" >>"$scratch/p99-windows" ;;
    *)
      echo "deploy/compare: tailrace-load ended with $status" >&2
      return 1
      ;;
  esac
}

# p99_measure ROUNDS: the windows of all rows and servers, at the rates that it leaves in p99_rate. Where the
# caller has a function p99_watch it is called with begin or end, ROW, SERVER and PATH around each.
p99_measure() {
  local ceiling line row server path round
  ceiling=$(p99_ceiling)
  : >"$scratch/p99-windows"
  for line in "${row_lines[@]}"; do
    row=${line%%|*}
    p99_rate[$row]=$(for server in "${servers[@]}"; do p99_saturation "$row" "$server"; done | sort -g |
      awk -v most="$ceiling" 'NR == 1 { rate = 0.7 * $1; printf "%d", rate < most ? rate : most }')
  done
  for ((round = 1; round <= $1; round++)); do
    echo "P99 round $round of $1" >&2
    for line in "${row_lines[@]}"; do
      row=${line%%|*}
      for server in "${servers[@]}"; do
        path=$(path_of "$line" "$server")
        if declare -F p99_watch >/dev/null; then p99_watch begin "$row" "$server" "$path"; fi
        p99_window "$row" "$server" "$path" "${p99_rate[$row]}" "$round"
        if declare -F p99_watch >/dev/null; then p99_watch end "$row" "$server" "$path"; fi
      done
    done
    reverse_servers
  done
  p99_how="P99 in an open loop (tailrace-load -t$threads -c$connections), all at 0.7x the lowest saturation rate or the"
  p99_how+=" generator's limit of $ceiling/s; medians of at most $1 windows of $seconds s"
}

# p99_of ROW SERVER: "p99 p50 windows-kept" in us, "-" if none was kept.
p99_of() {
  awk -F '|' -v row="$1" -v server="$2" "$statistics"'
    $1 == row && $2 == server && $3 != "dropped" { p99[++kept] = $3; p50[kept] = $4 }
    END { print median(p99, kept), median(p50, kept), kept + 0 }' "$scratch/p99-windows"
}
