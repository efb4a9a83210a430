#!/usr/bin/env bash
# refused_test.sh COMPILER [FLAGS...]: what refused.cc says must not compile does not, each with its
# message and in the words that name its type; and what it says may compile does. Two runs of the compiler's
# front end.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
compile=("$@" -std=gnu++20 -w -fsyntax-only "$here/refused.cc")

if ! "${compile[@]}"; then
  echo "refused_test: the code that is right was refused" >&2
  exit 1
fi
case $("$1" --version | head -1) in
  *clang*) limits=(-ferror-limit=0 -ftemplate-backtrace-limit=0) ;;
  *) limits=(-fmax-errors=0 -ftemplate-backtrace-limit=0) ;;
esac
if errors=$(LC_ALL=C "${compile[@]}" "${limits[@]}" -DTAILRACE_REFUSED 2>&1); then
  echo "refused_test: everything was accepted" >&2
  exit 1
fi

# An error and its surroundings: what g++ says before it (in instantiation of ...), clang after it. The
# namespace is left out: compilers do not agree on where they write it.
expected=$(sed -n 's|^ *// refused: ||p' "$here/refused.cc")
EXPECTED=$expected awk '
  function plain(text) { gsub(/tailrace::gc::/, "", text); return text }
  {
    line[NR] = plain($0)
    if ($0 ~ /error:/) at[++errors] = NR
  }
  END {
    count = split(ENVIRON["EXPECTED"], wanted, "\n")
    for (i = 1; i <= count; ++i) {
      bar = index(wanted[i], " | ")
      type = plain(substr(wanted[i], 1, bar - 1))
      message = substr(wanted[i], bar + 3)
      found = 0
      for (e = 1; e <= errors && !found; ++e) {
        if (!index(line[at[e]], message)) continue
        first = e > 1 ? at[e - 1] + 1 : 1
        last = e < errors ? at[e + 1] - 1 : NR
        for (l = first; l <= last && !found; ++l) found = index(line[l], type) > 0
      }
      if (!found) {
        print "refused_test: not refused in these words: " wanted[i] > "/dev/stderr"
        failed = 1
      }
    }
    if (count < 10) { print "refused_test: the list is too short to be true" > "/dev/stderr"; failed = 1 }
    if (!failed) print count " refusals, each in its words"
    exit failed
  }' <<<"$errors"
