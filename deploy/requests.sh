# shellcheck shell=bash
# Sourced by the golden counts: the requests that are counted, and a client with one request in flight.

# The kinds: bare GET, GET with 9 headers, GET of a user, POST of 20 events.
request_kinds=(bare nine-headers user events)

# request_options KIND: curl's options for it, one a line; Host alone unless said otherwise.
request_options() {
  printf '%s\n' --header 'User-Agent:' --header 'Accept:'
  case $1 in
    nine-headers)
      printf '%s\n' \
        --header 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0' \
        --header 'Accept: text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8' \
        --header 'Accept-Language: en-GB,en;q=0.7,de;q=0.3' \
        --header 'Accept-Encoding: gzip, deflate, br' \
        --header 'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark' \
        --header 'Cache-Control: no-cache' \
        --header 'X-Forwarded-For: 192.0.2.17' \
        --header 'Connection: keep-alive'
      ;;
    events)
      printf '%s\n' --header 'Content-Type: application/json' --data-binary "$(twenty_events)"
      ;;
  esac
}

request_path() {
  case $1 in
    user) echo /api/users/7 ;;
    events) echo /api/events ;;
    *) echo /healthz ;;
  esac
}

twenty_events() {
  local i separator='['
  for i in {1..20}; do
    printf '%s{"id":"ev-%d","type":"click","user_id":%d,"ts":%d,"tags":["web","eu"],"payload":{"page":"/items/%d"}}' \
      "$separator" "$i" $((i * 7)) $((1700000000 + i)) "$i"
    separator=','
  done
  printf ']'
}

# send_requests URL KIND COUNT: one after the other over one connection; each must be answered with 200.
send_requests() {
  local options url=$1 kind=$2 count=$3
  mapfile -t options < <(request_options "$kind")
  awk -v url="$url$(request_path "$kind")" -v count="$count" 'BEGIN {
    for (i = 0; i < count; i++) printf "url = \"%s\"\noutput = \"/dev/null\"\n", url
  }' >"$scratch/requests"
  curl --silent --show-error --max-time 300 "${options[@]}" --write-out '%{http_code} %{num_connects}\n' \
    --config "$scratch/requests" |
    awk -v count="$count" '
      $1 == 200 { answered++ }
      { connects += $2 }
      END {
        if (answered == count && connects == 1) exit 0
        printf "%d of %d requests answered with 200 over %d connections\n", answered, count, connects >"/dev/stderr"
        exit 1
      }'
}
