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

# p99_watch begin|end ROW SERVER PATH: appends "row|server|requests|cycles|hold|stop" of the window in between to
# $scratch/style-windows. hold: the longest of all kinds, stop: of handshakes and claims; in us, the upper
# bound of its bucket, which are powers of two.
p99_watch() {
  curl -sS --fail "${url[$3]}/metrics" >"$scratch/metrics-$1"
  if [[ $1 == begin ]]; then
    counts "$3" "$4" >"$scratch/counts-begin"
    return
  fi
  awk -v row="$2" -v server="$3" -v before="$(<"$scratch/counts-begin")" -v after="$(counts "$3" "$4")" '
    function label(name) {
      return match($0, name "=\"[^\"]*\"") ? substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 3) : ""
    }
    !/^tailrace_gc_hold_seconds_bucket/ { next }
    { key = label("kind") " " label("le") }
    NR == FNR { first[key] = $NF; next }
    { seen[key] = $NF - first[key] }
    END {
      for (key in seen) {
        split(key, part, " ")
        if (part[2] == "+Inf" || seen[key] < seen[part[1] " +Inf"] || seen[key] == 0) continue
        us = part[2] * 1e6
        if (!(part[1] in longest) || us < longest[part[1]]) longest[part[1]] = us
      }
      for (kind in longest) {
        if (longest[kind] > hold) hold = longest[kind]
        if ((kind == "handshake" || kind == "claim") && longest[kind] > stop) stop = longest[kind]
      }
      split(before, b, " "); split(after, a, " ")
      printf "%s|%s|%d|%d|%.6g|%.6g\n", row, server, a[3] - b[3], a[5] - b[5], hold, stop
    }' "$scratch/metrics-begin" "$scratch/metrics-end" >>"$scratch/style-windows"
}

# The POSTs whose users the store keeps, as many for each: what is resident then.
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
  awk -F '|' -v form="$1" -v rows="$rows" -v rounds="$rounds" -v seconds="$seconds" -v connections="$connections" '
    function median(list, n,    i, j, t) {
      if (n == 0) return "-"
      for (i = 2; i <= n; i++)
        for (j = i; j > 1 && list[j] + 0 < list[j - 1] + 0; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
      return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
    }
    function of(row, style, field,    i, list) {
      for (i = 1; i <= count[row, style]; i++) list[i] = value[row, style, field, i]
      return median(list, count[row, style] + 0)
    }
    function show(x, digits) { return x == "" || x == "-" || x == "inf" ? "-" : sprintf("%." digits "f", x) }
    function number(x) { return x == "" || x == "-" || x == "inf" ? "null" : sprintf("%.6g", x) }
    function ratio(a, b) { return b + 0 == 0 || a == "-" || b == "-" || a == "" ? "-" : sprintf("%.3fx", a / b) }
    function print_line(name, a, b, c, digits) {
      printf "  %-34s %10s %10s %10s %10s\n", name, show(a, digits), show(b, digits), show(c, digits), ratio(c, a)
    }
    FILENAME ~ /p99-summary$/ { split($4, part, " "); p99[$2, $3] = part[1]; rate[$2] = $5; next }
    FILENAME ~ /style-windows$/ {
      requests[$1, $2] += $3; cycles[$1, $2] += $4
      if ($5 > hold[$1, $2]) hold[$1, $2] = $5
      if ($6 > stop[$1, $2]) stop[$1, $2] = $6
      next
    }
    FILENAME ~ /kept$/ { users[$2] = $3; rss[$2] = $4; next }
    { i = ++count[$1, $2]; for (f = 3; f <= 8; f++) value[$1, $2, f, i] = $f }
    END {
      style[1] = "naive"; style[2] = "pooled"; style[3] = "api"
      split("x x requests_per_second cpu_us objects bytes heap_bytes cycles_per_minute", names, " ")
      total = split(rows, lines, "\n")
      if (form == "json") printf "{\"schema\": 1, \"rounds\": %d, \"seconds\": %d, \"connections\": %d, \"rows\": [", rounds, seconds, connections
      for (r = 1; r <= total; r++) {
        row = lines[r]; sub(/\|.*/, "", row)
        for (s = 1; s <= 3; s++) {
          for (f = 3; f <= 8; f++) v[f, s] = of(row, style[s], f)
          rated[s] = requests[row, style[s]] > 0 ? cycles[row, style[s]] * rate[row] * 60 / requests[row, style[s]] : "-"
        }
        if (form == "table") {
          printf "%-36s %10s %10s %10s %10s\n", row, style[1], style[2], style[3], "api/naive"
          print_line("allocations a request", v[5, 1], v[5, 2], v[5, 3], 1)
          print_line("bytes a request", v[6, 1], v[6, 2], v[6, 3], 0)
          print_line("  of these on the collected heap", v[7, 1], v[7, 2], v[7, 3], 0)
          print_line("CPU-us a request", v[4, 1], v[4, 2], v[4, 3], 2)
          print_line("requests/s, saturated", v[3, 1], v[3, 2], v[3, 3], 0)
          print_line("cycles a minute, saturated", v[8, 1], v[8, 2], v[8, 3], 1)
          if (rate[row] != "") {
            print_line("cycles a minute at " rate[row] "/s", rated[1], rated[2], rated[3], 1)
            print_line("  longest hold, us at most", hold[row, "naive"], hold[row, "pooled"], hold[row, "api"], 1)
            print_line("  by handshake or claim", stop[row, "naive"], stop[row, "pooled"], stop[row, "api"], 1)
            print_line("  P99, us", p99[row, "naive"], p99[row, "pooled"], p99[row, "api"], 0)
          }
          continue
        }
        printf "%s\n  {\"row\": \"%s\"", (r > 1 ? "," : ""), row
        for (s = 1; s <= 3; s++) {
          printf ", \"%s\": {", style[s]
          for (f = 3; f <= 8; f++) printf "\"%s\": %s, ", names[f], number(v[f, s])
          printf "\"rated\": {\"requests_per_second\": %s, \"cycles_per_minute\": %s, \"longest_hold_us\": %s, \"p99_us\": %s}}",
            number(rate[row]), number(rated[s]), number(hold[row, style[s]]), number(p99[row, style[s]])
        }
        printf "}"
      }
      if (form == "json") {
        printf "\n], \"rss_kib\": {\"users\": %s, \"pooled\": %s, \"api\": %s}}\n", number(users["api"]), number(rss["pooled"]), number(rss["api"])
      } else {
        printf "after %s POSTs and %s: resident %.1f MiB pooled, %.1f MiB api: %s, promised <= 1.3x: %s\n", users["pooled"], users["api"],
          rss["pooled"] / 1024, rss["api"] / 1024, ratio(rss["api"], rss["pooled"]),
          (rss["api"] <= 1.3 * rss["pooled"] ? "kept" : "NOT KEPT")
      }
    }' "$scratch/p99-summary" "$scratch/style-windows" "$scratch/kept" "$scratch/windows"
}

: >"$scratch/style-windows"
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
