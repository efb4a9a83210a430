# shellcheck shell=bash
# Sourced by deploy/compare: tailrace-api beside its Go peer, and beside a bare epoll loop.

go_peer=''
if command -v go >/dev/null; then
  if (cd loadtest/peers/go && GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o "$scratch/go-peer" .); then
    go_peer=$scratch/go-peer
  fi
fi
if [[ -z $go_peer ]]; then
  echo "deploy/compare: no Go 1.22 or newer: our figures only, no ratios" >&2
fi

start_server ours "$api" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0
servers=(ours)
if [[ -n $go_peer ]]; then
  start_server go "$go_peer" -listen 127.0.0.1:0
  servers+=(go)
fi
g++ -std=c++20 -O2 loadtest/peers/epoll/main.cc -o "$scratch/epoll-peer" -pthread
start_server floor "$scratch/epoll-peer" 2

# row | path here | path at the peer | promised ratio of CPU-us | goal | promised ratio to the floor, - if it is only
# to be seen | promised ratio of P99. The floor's answer is always that to GET /healthz.
rows='GET /healthz|/healthz|/healthz|0.33|0.28|1.15
GET users/7|/api/users/7|/pooled/users/7|0.38|0.33|-|0.5
POST events x20|/api/events|/pooled/events|0.15|0.125|-|0.5
GET naive users/7|/naive/users/7|/naive/users/7||
POST naive events x20|/naive/events|/naive/events||'

path_of() { # ROW-LINE SERVER
  if [[ $2 != ours ]]; then cut -d '|' -f 3 <<<"$1"; else cut -d '|' -f 2 <<<"$1"; fi
}

# Both, and the floor where its row has one.
driven() {
  if [[ -n $(cut -d '|' -f 6 <<<"$1") ]]; then echo "${servers[@]}" floor; else echo "${servers[@]}"; fi
}

# Medians of the windows; a ratio is the median of the rounds' ratios. $1: table or json.
summary() {
  awk -F '|' -v form="$1" -v rows="$rows" -v rounds="$rounds" -v seconds="$seconds" \
    -v connections="$connections" -v peer="$go_peer" "$statistics"'
    function of(row, server, field,    i, list) {
      for (i = 1; i <= count[row, server]; i++) list[i] = value[row, server, field, i]
      return median(list, i - 1)
    }
    function ratio(row, field, to,    i, list) {
      for (i = 1; i <= count[row, "ours"]; i++) list[i] = ratio_of(value[row, "ours", field, i], value[row, to, field, i])
      return median(list, i - 1)
    }
    function floor_to_peer(row,    i, list) {
      for (i = 1; i <= count[row, "go"]; i++) list[i] = ratio_of(value[row, "floor", 4, i], value[row, "go", 4, i])
      return median(list, i - 1)
    }
    $1 == "p99" { p99[$2] = $3; next }
    { i = ++count[$1, $2]; for (f = 3; f <= 6; f++) value[$1, $2, f, i] = $f }
    END {
      split("x x requests_per_second cpu_us objects bytes", names, " ")
      total = split(rows, lines, "\n")
      if (form == "table") {
        printf "%-22s %-8s %10s %8s %9s %9s\n", "", "", "requests/s", "CPU-us", "objects", "bytes"
      } else {
        printf "{\"schema\": 1, \"rounds\": %d, \"seconds\": %d, \"connections\": %d, \"rows\": [", rounds, seconds, connections
      }
      for (r = 1; r <= total; r++) {
        split(lines[r], part, "|"); row = part[1]
        if (form == "table") {
          for (s = 1; s <= (peer == "" ? 1 : 2); s++) {
            server = s == 1 ? "ours" : "go"
            printf "%-22s %-8s %10s %8s %9s %9s\n", (s == 1 ? row : ""), (s == 1 ? "tailrace" : "go"),
              show(of(row, server, 3), 0), show(of(row, server, 4), 2), show(of(row, server, 5), 1), show(of(row, server, 6), 0)
          }
          if (part[6] != "") {
            printf "%-22s %-8s %10s %8s\n", "", "floor", show(of(row, "floor", 3), 0), show(of(row, "floor", 4), 2)
            printf "%-22s %-8s %10s %8s%20s", "", "to floor", show(ratio(row, 3, "floor"), 2, "x"),
              show(ratio(row, 4, "floor"), 3, "x"), ""
            if (known(part[6])) printf "  promised CPU-us <= %sx of a bare epoll loop: %s", part[6], verdict(ratio(row, 4, "floor"), part[6])
            if (peer != "") printf "%s", "  (the floor is " show(floor_to_peer(row), 3, "x") " of go)"
            printf "\n"
          }
          if (peer == "") continue
          printf "%-22s %-8s %10s %8s %9s %9s", "", "ratio", show(ratio(row, 3, "go"), 2, "x"),
            show(ratio(row, 4, "go"), 3, "x"), show(ratio(row, 5, "go"), 2, "x"), show(ratio(row, 6, "go"), 2, "x")
          if (part[4] != "") {
            printf "  promised CPU-us <= %sx (goal %sx): %s", part[4], part[5], verdict(ratio(row, 4, "go"), part[4])
          }
          printf "\n"
        } else {
          printf "%s\n  {\"row\": \"%s\", \"promised_cpu_ratio\": %s", (r > 1 ? "," : ""), row, (part[4] == "" ? "null" : part[4])
          for (s = 1; s <= 2; s++) {
            server = s == 1 ? "ours" : "go"
            printf ", \"%s\": {", server
            for (f = 3; f <= 6; f++) printf "%s\"%s\": %s", (f > 3 ? ", " : ""), names[f], number(of(row, server, f))
            printf "}"
          }
          if (part[6] != "") printf ", \"floor_cpu_us\": %s, \"promised_ratio_to_floor\": %s, \"cpu_ratio_to_floor\": %s", number(of(row, "floor", 4)), number(part[6]), number(ratio(row, 4, "floor"))
          printf ", \"ratio\": {"
          for (f = 3; f <= 6; f++) printf "%s\"%s\": %s", (f > 3 ? ", " : ""), names[f], number(ratio(row, f, "go"))
          printf "}"
          if (p99[row] != "") printf ", \"p99\": %s", p99[row]
          printf "}"
        }
      }
      if (form == "json") printf "\n]}\n"
    }' "$scratch/p99.json-rows" "$scratch/windows"
}

# P99 of ours and of the Go peer, and the rows of both for the summary in JSON.
compare_p99() {
  local line row promised ours go
  p99_measure "$p99_rounds"
  echo
  echo "$p99_how"
  printf '%-22s %10s %12s %10s %8s %12s %10s  %s\n' '' requests/s 'P99 tailrace' 'go us' ratio \
    'P50 tailrace' 'go us' 'windows kept'
  for line in "${row_lines[@]}"; do
    row=${line%%|*}
    promised=$(cut -d '|' -f 7 <<<"$line")
    ours=$(p99_of "$row" ours)
    go=$(p99_of "$row" go)
    awk -v row="$row" -v rate="${p99_rate[$row]}" -v promised="$promised" -v json="$scratch/p99.json-rows" -v a="$ours" \
      -v b="$go" "$statistics"'
      BEGIN {
        split(a, ours, " "); split(b, go, " ")
        ratio = ratio_of(ours[1], go[1])
        printf "%-22s %10d %12s %10s %8s %12s %10s  %d and %d%s\n", row, rate, show(ours[1], 0), show(go[1], 0),
          show(ratio, 2, "x"), show(ours[2], 0), show(go[2], 0), ours[3], go[3],
          promised == "" ? "" : sprintf("  promised P99 <= %sx: %s", promised, verdict(ratio, promised))
        printf "p99|%s|{\"requests_per_second\": %d, \"ours_us\": %s, \"go_us\": %s, \"ratio\": %s, \"promised_ratio\": %s, " \
          "\"windows\": [%d, %d]}\n", row, rate, number(ours[1]), number(go[1]), number(ratio), number(promised), ours[3],
          go[3] >>json
      }'
  done
}

measure "$rounds"
echo "servers on CPUs $server_cpus, wrk -t$threads -c$connections on $client_cpus," \
  "$rounds interleaved windows of $seconds s each; medians. objects, bytes: allocated a request" \
  "(ours: managed; Go: all)."
: >"$scratch/p99.json-rows"
summary table
if [[ -n $go_peer ]] && ((p99_rounds > 0)); then
  compare_p99
fi
if [[ -n $json ]]; then
  summary json >"$json"
fi
stop_servers
