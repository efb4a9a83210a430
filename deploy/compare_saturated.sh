# shellcheck shell=bash
# Sourced by deploy/compare: /api under wrk, as fast as it answers, and which cycles the collector ran meanwhile.
#
# Allocation has not started one when all that ran were asked for by nobody: two minutes without a cycle bring
# one (gcruntime/gc/collector.h). No metric tells it from a paced one, gctrace does: it begins two minutes or more
# after the one before it, or after the start, and any other begins sooner.

# Lines of gctrace are read from its log, which has no line of what succeeds.
# shellcheck disable=SC2034 # read by service_start
service_quiet=0
start_server api "$api" serve --listen 127.0.0.1:0 --admin 127.0.0.1:0 --debug gctrace=1
servers=(api)

# row | path
rows='GET users/7|/api/users/7
POST events x20|/api/events'

# Cycles ended so far: the number of the last one in gctrace.
cycles_so_far() { counts api "$1" | cut -d ' ' -f 5; }
resident_kib() { awk '$1 == "VmRSS:" { print $2 }' "/proc/${pid[api]}/status"; }

# The windows, and beside each line in $scratch/windows one in $scratch/around: "kib before|after|cycles before|after".
saturate() {
  local line path round kib cycles
  while IFS='|' read -r line path; do
    drive 1 "${url[api]}$path" >/dev/null
    for ((round = 1; round <= rounds; round++)); do
      echo "$line, $seconds s, $round of $rounds" >&2
      kib=$(resident_kib) cycles=$(cycles_so_far "$path")
      window "$line" api "$path"
      echo "$kib|$(resident_kib)|$cycles|$(cycles_so_far "$path")" >>"$scratch/around"
    done
  done <<<"$rows"
}

# $1: table or json.
summary() {
  paste -d '|' "$scratch/windows" "$scratch/around" >"$scratch/saturated"
  awk -F '|' -v form="$1" -v seconds="$seconds" -v connections="$connections" "$statistics"'
    BEGIN {
      if (form == "table") {
        printf "%-18s %10s %13s %13s %13s  %s\n", "", "requests/s", "heap B each", "RSS MiB begin", "end",
          "cycles: by allocation, forced, periodic"
      } else {
        printf "{\"schema\": 1, \"seconds\": %d, \"connections\": %d, \"rows\": [", seconds, connections
      }
    }
    # gc N @T s P%: ...
    FILENAME ~ /api\.err$/ {
      if (!/^gc [0-9]+ @[0-9.]+s /) next
      split($0, part, " ")
      begun[part[2]] = substr(part[3], 2) + 0
      forced[part[2]] = /\(forced\)$/
      next
    }
    {
      asked = paced = periodic = 0
      lost = !known($11) || !known($12)
      for (n = $11 + 1; n <= $12 && !lost; n++) {
        if (!(n in begun) || (n > 1 && !((n - 1) in begun))) lost = 1
        else if (forced[n]) asked++
        else if (begun[n] - (n > 1 ? begun[n - 1] : 0) >= 120) periodic++
        else paced++
      }
      if (lost) asked = paced = periodic = "-"
      if (form == "table") {
        printf "%-18s %10s %13s %13s %13s  %s, %s, %s; promised none but the periodic one: %s\n", $1, show($3, 0), show($7, 1),
          show(ratio_of($9, 1024), 1), show(ratio_of($10, 1024), 1), paced, asked, periodic,
          verdict(lost ? "-" : paced + asked, 0)
        next
      }
      printf "%s\n  {\"row\": \"%s\", \"requests_per_second\": %s, \"cpu_us\": %s, \"heap_bytes\": %s, \"rss_kib\": [%s, %s], " \
        "\"cycles\": {\"by_allocation\": %s, \"forced\": %s, \"periodic\": %s}}", (rows++ > 0 ? "," : ""), $1, number($3),
        number($4), number($7), number($9), number($10), number(paced), number(asked), number(periodic)
    }
    END { if (form == "json") printf "\n]}\n" }' "$scratch/api.err" "$scratch/saturated"
}

saturate
stop_servers
echo "service on CPUs $server_cpus, wrk -t$threads -c$connections on $client_cpus, windows of $seconds s"
summary table
if [[ -n $json ]]; then
  summary json >"$json"
fi
