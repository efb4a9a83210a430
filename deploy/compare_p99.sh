# shellcheck shell=bash
# Sourced by deploy/compare: P99 of ours and of the Go peer at one rate, in an open loop.
#
# The rate is 0.7x the lower of the two rates that wrk reached, and never more than the generator may ask for:
# both are measured where they still answer what comes. Windows alternate. One in which the generator was late
# (tailrace-load says invalid) is dropped on its side; the median of the others' P99 is compared.

# The median of wrk's requests/s of a ROW and SERVER.
p99_saturation() {
  awk -F '|' -v row="$1" -v server="$2" '$1 == row && $2 == server { print $3 }' "$scratch/windows" | sort -g |
    awk '{ rate[NR] = $1 } END { print rate[int((NR + 1) / 2)] }'
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
          return text == "inf" ? "inf" : text / 1000
        }' "$scratch/p99.json" >>"$scratch/p99-windows"
      ;;
    3) echo "$1|$2|dropped" >>"$scratch/p99-windows" ;;
    *)
      echo "deploy/compare: tailrace-load ended with $status" >&2
      return 1
      ;;
  esac
}

compare_p99() {
  local ceiling line row ours go rate round server
  local -A rate_of
  ceiling=$(p99_ceiling)
  : >"$scratch/p99-windows"
  for line in "${row_lines[@]}"; do
    row=${line%%|*}
    ours=$(p99_saturation "$row" ours)
    go=$(p99_saturation "$row" go)
    rate_of[$row]=$(awk -v a="$ours" -v b="$go" -v most="$ceiling" 'BEGIN {
      rate = 0.7 * (a < b ? a : b)
      printf "%d", rate < most ? rate : most
    }')
  done
  for ((round = 1; round <= p99_rounds; round++)); do
    echo "P99 round $round of $p99_rounds" >&2
    for line in "${row_lines[@]}"; do
      row=${line%%|*}
      for server in "${servers[@]}"; do
        p99_window "$row" "$server" "$(path_of "$line" "$server")" "${rate_of[$row]}" "$round"
      done
    done
    servers=($(printf '%s\n' "${servers[@]}" | tac))
  done

  echo
  echo "P99 in an open loop (tailrace-load -t$threads -c$connections), both at 0.7x the lower saturation rate or the" \
    "generator's limit of $ceiling/s; medians of at most $p99_rounds windows of $seconds s"
  printf '%-22s %10s %12s %10s %8s %12s %10s  %s\n' '' requests/s 'P99 tailrace' 'go us' ratio \
    'P50 tailrace' 'go us' 'windows kept'
  for line in "${row_lines[@]}"; do
    row=${line%%|*}
    awk -F '|' -v row="$row" -v rate="${rate_of[$row]}" -v json="$scratch/p99.json-rows" '
      function median(server, field,    n, i, j, t, list) {
        n = kept[server]
        if (n == 0) return "-"
        for (i = 1; i <= n; i++) list[i] = value[server, field, i] == "inf" ? 1e300 : value[server, field, i] + 0
        for (i = 2; i <= n; i++)
          for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
        t = n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
        return t >= 1e299 ? "inf" : t
      }
      function known(x) { return x != "-" && x != "inf" }
      function show(x) { return known(x) ? sprintf("%.0f", x) : x }
      $1 == row && $3 != "dropped" {
        value[$2, 99, ++kept[$2]] = $3
        value[$2, 50, kept[$2]] = $4
      }
      END {
        a = median("ours", 99); b = median("go", 99)
        ratio = known(a) && known(b) ? a / b : "-"
        printf "%-22s %10d %12s %10s %8s %12s %10s  %d and %d\n", row, rate, show(a), show(b),
          ratio == "-" ? "-" : sprintf("%.2fx", ratio), show(median("ours", 50)), show(median("go", 50)),
          kept["ours"], kept["go"]
        printf "p99|%s|{\"requests_per_second\": %d, \"ours_us\": %s, \"go_us\": %s, \"ratio\": %s, \"windows\": [%d, %d]}\n",
          row, rate, known(a) ? a : "null", known(b) ? b : "null", ratio == "-" ? "null" : ratio,
          kept["ours"], kept["go"] >>json
      }' "$scratch/p99-windows"
  done
}
