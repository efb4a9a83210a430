# shellcheck shell=bash
# Sourced by deploy/compare: the three styles of tailrace-api, each in a process of its own, so that cycles and
# holds are its own too. Prints for each request what it allocates, and what that does to the service.

servers=(naive pooled api)
for server in "${servers[@]}"; do
  start_server "$server" "$api" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0
done

# row | path below the style's prefix
rows='GET users/7|/users/7
GET 50 users|/users?offset=100&limit=50
POST events x20|/events'

path_of() { echo "/$2$(cut -d '|' -f 2 <<<"$1")"; }
driven() { echo "${servers[@]}"; }

# p99_watch begin|end ROW SERVER PATH: appends "row|server|requests|cycles" of the window in between to
# $scratch/style-windows, and "row|server|kind|us|holds" to $scratch/style-holds: how many held for so long at
# most; buckets end at powers of two, and one that holds them all is "+Inf".
p99_watch() {
  curl -sS --fail "${url[$3]}/metrics" >"$scratch/metrics-$1"
  if [[ $1 == begin ]]; then
    counts "$3" "$4" >"$scratch/counts-begin"
    return
  fi
  awk -v at="$2|$3" '
    function label(name) {
      return match($0, name "=\"[^\"]*\"") ? substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : ""
    }
    !/^tailrace_gc_hold_seconds_bucket/ { next }
    { key = label("kind") " " label("le") }
    NR == FNR { first[key] = $NF; next }
    $NF > first[key] {
      us = label("le")
      printf "%s|%s|%s|%d\n", at, label("kind"), (us == "+Inf" ? us : us * 1e6), $NF - first[key]
    }' "$scratch/metrics-begin" "$scratch/metrics-end" >>"$scratch/style-holds"
  awk -v at="$2|$3" -v before="$(<"$scratch/counts-begin")" -v after="$(counts "$3" "$4")" "$statistics"'
    BEGIN {
      split(before, b, " "); split(after, a, " ")
      printf "%s|%d|%s\n", at, a[3] - b[3], difference(a[5], b[5])
    }' >>"$scratch/style-windows"
}

# The POSTs whose users the store keeps, as many for each: what is resident then. That the generator was late (3)
# is no matter: whether all have come, the service's own count of users says.
kept_posts=100000
kept() {
  local style
  cat >"$scratch/post.yaml" <<'YAML'
name: post users
routes:
  - name: post user
    method: POST
    path: /STYLE/users
    json:
      name: User Number {{counter}}
      email: user{{counter}}@example.com
      active: true
      score: 1.5
      roles: [reader, writer, "team-{{int 0 99}}"]
      address: {street: "{{int 1 9999}} High Street", city: Springfield, country: Freedonia, zip: "00501"}
      tags: [alpha, beta, "tag-{{int 0 999}}"]
    expect: 201
YAML
  for style in pooled api; do
    service_start "kept-$style" taskset -c "$server_cpus" "$api" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --users 0
    sed "s|STYLE|$style|" "$scratch/post.yaml" >"$scratch/post-$style.yaml"
    XDG_CACHE_HOME=$scratch taskset -c "$client_cpus" "$build/bin/tailrace-load" run "$service_url" -r 5000 \
      -d $((kept_posts / 5000))s --warmup 0s --arrival const -t "$threads" -c "$connections" --metrics off --quiet \
      --above-ceiling --scenario "$scratch/post-$style.yaml" --json "$scratch/post.json" || (($? == 3))
    awk -v style="$style" -v users="$(curl -sS --fail "$service_url/$style/users?limit=1" | sed 's/.*"total":\([0-9]*\).*/\1/')" '
      $1 == "VmRSS:" { print "kept|" style "|" users "|" $2 }' "/proc/$service_pid/status" >>"$scratch/kept"
    service_stop "$service_pid"
  done
}

table() {
  local line row style
  for line in "${row_lines[@]}"; do
    row=${line%%|*}
    for style in naive pooled api; do
      if ((p99_rounds > 0)); then echo "p99|$row|$style|$(p99_of "$row" "$style")|${p99_rate[$row]}"; fi
    done
  done >"$scratch/p99-summary"
  awk -F '|' -v form="$1" -v rows="$rows" -v rounds="$rounds" -v seconds="$seconds" -v connections="$connections" \
    -v posts="$kept_posts" "$statistics"'
    function of(row, style, field,    i, list) {
      for (i = 1; i <= count[row, style]; i++) list[i] = value[row, style, field, i]
      return median(list, i - 1)
    }
    # In us, as long at most as this share of the holds of some kinds: the end of the least bucket with so many.
    function hold_of(row, style, some, share,    kind, us, within, least) {
      for (kind in kinds)
        if (kind ~ some)
          for (us in bounds) within[us] += holds[row, style, kind, us]
      if (within["+Inf"] + 0 == 0) return "-"
      least = "inf"
      for (us in within)
        if (known(us) && within[us] >= share * within["+Inf"] && (least == "inf" || us + 0 < least)) least = us + 0
      return least
    }
    # The last column is what tuning is known to have done for one service, from the first style to the last.
    function print_line(name, f, digits, elsewhere) {
      printf "  %-36s %10s %10s %10s %10s%s\n", name, show(v[f, 1], digits), show(v[f, 2], digits), show(v[f, 3], digits),
        show(ratio_of(v[f, 3], v[f, 1]), 3, "x"), (elsewhere == "" ? "" : "  " elsewhere)
    }
    FILENAME ~ /p99-summary$/ { split($4, part, " "); p99[$2, $3] = part[1]; rate[$2] = $5; next }
    FILENAME ~ /style-windows$/ {
      if (known($4)) { requests[$1, $2] += $3; cycles[$1, $2] += $4 }
      next
    }
    FILENAME ~ /style-holds$/ { holds[$1, $2, $3, $4] += $5; kinds[$3]; bounds[$4]; next }
    FILENAME ~ /kept$/ { users[$2] = $3; rss[$2] = $4; next }
    { i = ++count[$1, $2]; for (f = 3; f <= 8; f++) value[$1, $2, f, i] = $f }
    END {
      style[1] = "naive"; style[2] = "pooled"; style[3] = "api"
      split("x x requests_per_second cpu_us objects bytes heap_bytes cycles_per_minute cycles_per_minute " \
        "ms_between_cycles_at_50000_per_second longest_hold_us longest_stop_us stop_p99_us p99_us", names, " ")
      total = split(rows, lines, "\n")
      if (form == "json") printf "{\"schema\": 1, \"rounds\": %d, \"seconds\": %d, \"connections\": %d, \"rows\": [", rounds, seconds, connections
      for (r = 1; r <= total; r++) {
        row = lines[r]; sub(/\|.*/, "", row)
        for (s = 1; s <= 3; s++) {
          for (f = 3; f <= 8; f++) v[f, s] = of(row, style[s], f)
          answered = requests[row, style[s]]; ran = cycles[row, style[s]]
          v[9, s] = answered > 0 ? ran * rate[row] * 60 / answered : "-"
          v[10, s] = ran > 0 ? answered / ran / 50 : answered > 0 ? "none" : "-"
          v[11, s] = hold_of(row, style[s], "", 1)
          v[12, s] = hold_of(row, style[s], "^(handshake|claim)$", 1)
          v[13, s] = hold_of(row, style[s], "^(handshake|claim)$", 0.99)
          v[14, s] = p99[row, style[s]]
        }
        if (form == "table") {
          printf "%-38s %10s %10s %10s %10s  %s\n", row, style[1], style[2], style[3], "api/naive", "a service in Go, tuned"
          print_line("allocations a request", 5, 1,
            "45 -> 12: 0.267x, promised here too: " verdict(ratio_of(v[5, 3], v[5, 1]), 12 / 45))
          print_line("bytes a request", 6, 0)
          print_line("  of these on the collected heap", 7, 0)
          print_line("CPU-us a request", 4, 2)
          print_line("requests/s, saturated", 3, 0)
          print_line("cycles a minute, saturated", 8, 1)
          if (rate[row] != "") {
            print_line("cycles a minute at " rate[row] "/s", 9, 1)
            print_line("  ms between cycles, for 50000/s", 10, 0, "15 -> 200: 13.3x")
            print_line("  longest hold, us at most", 11, 1)
            print_line("  by handshake or claim", 12, 1)
            print_line("  by these, p99, us at most", 13, 1, "pauses 50000 -> 2000: 0.040x")
            print_line("  P99, us", 14, 0, "200000 -> 35000: 0.175x")
          }
          continue
        }
        printf "%s\n  {\"row\": \"%s\"", (r > 1 ? "," : ""), row
        for (s = 1; s <= 3; s++) {
          printf ", \"%s\": {", style[s]
          for (f = 3; f <= 8; f++) printf "\"%s\": %s, ", names[f], number(v[f, s])
          printf "\"rated\": {\"requests_per_second\": %s", number(rate[row])
          for (f = 9; f <= 14; f++) printf ", \"%s\": %s", names[f], number(v[f, s])
          printf "}}"
        }
        printf "}"
      }
      # Of what is resident there is something to say where both hold the same.
      resident = users["pooled"] == posts && users["api"] == posts ? ratio_of(rss["api"], rss["pooled"]) : "-"
      if (form == "json") {
        printf "\n], \"kept\": {\"posts\": %d, \"ratio\": %s", posts, number(resident)
        for (s = 2; s <= 3; s++)
          printf ", \"%s\": {\"users\": %s, \"rss_kib\": %s}", style[s], number(users[style[s]]), number(rss[style[s]])
        printf "}}\n"
      } else {
        printf "after %d POSTs:", posts
        for (s = 2; s <= 3; s++)
          printf " %s MiB resident with %s users of %s%s", show(ratio_of(rss[style[s]], 1024), 1),
            show(users[style[s]], 0), style[s], (s == 2 ? "," : ": ")
        printf "%s, promised <= 1.3x: %s\n", show(resident, 3, "x"), verdict(resident, 1.3)
      }
    }' "$scratch/p99-summary" "$scratch/style-windows" "$scratch/style-holds" "$scratch/kept" "$scratch/windows"
}

: >"$scratch/style-windows"
: >"$scratch/style-holds"
: >"$scratch/kept"
measure "$rounds"
if ((p99_rounds > 0)); then
  p99_measure "$p99_rounds"
fi
kept
echo "servers on CPUs $server_cpus, wrk -t$threads -c$connections on $client_cpus," \
  "$rounds interleaved windows of $seconds s each; medians"
if ((p99_rounds > 0)); then
  echo "$p99_how"
fi
table table
if [[ -n $json ]]; then
  table json >"$json"
fi
stop_servers
