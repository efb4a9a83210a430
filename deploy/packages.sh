# shellcheck shell=bash
# Sourced by the scripts here: which Debian packages the project needs, and how many jobs fit.
# Nothing is fetched, and no root is needed, when everything is there already.

# Prints the packages for `build`, `test` or `lint` (which is test and clang) on this release of Debian.
tailrace_packages() {
  local release=0
  if [[ -r /etc/os-release ]]; then
    release=$(. /etc/os-release && printf '%s' "${VERSION_ID:-0}")
  fi
  printf '%s\n' g++ cmake ninja-build libsimdjson-dev prometheus-cpp-dev zlib1g-dev \
    libcurl4-openssl-dev libgtest-dev libbenchmark-dev libcli11-dev libyaml-cpp-dev nlohmann-json3-dev
  if [[ ${release%%.*} == 12 ]]; then
    printf '%s\n' libboost1.81-dev libboost-context1.81-dev # Debian 12's plain names mean 1.74
  else
    printf '%s\n' libboost-dev libboost-context-dev
  fi
  if [[ $1 != build ]]; then
    printf '%s\n' curl wrk valgrind strace
  fi
  if [[ $1 == lint && ${release%%.*} == 12 ]]; then
    printf '%s\n' clang clang-format clang-tidy # version 14, which deploy/lint wants
  fi
}

# tailrace_install build|test|lint: installs what is missing.
tailrace_install() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "deploy: not a Debian system; the counterparts of these must be there:" \
      $(tailrace_packages "$1") >&2
    return 0
  fi
  local package missing=() as_root=()
  for package in $(tailrace_packages "$1"); do
    if [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) != installed ]]; then
      missing+=("$package")
    fi
  done
  if ((${#missing[@]} == 0)); then
    return 0
  fi
  echo "deploy: installing ${missing[*]}" >&2
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
      echo "deploy: run as root or install sudo, or as root: apt-get install ${missing[*]}" >&2
      return 1
    fi
    as_root=(sudo)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  "${apt[@]}" update >&2
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >&2
}

# Prints how many compilers may run at once: one a CPU, and about 2 GiB of memory for each.
tailrace_jobs() {
  local cpus kib limit file jobs
  cpus=$(nproc)
  kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  for file in /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes; do
    if [[ -r $file ]]; then
      limit=$(<"$file")
      if [[ $limit != max ]] && ((limit / 1024 < kib)); then
        kib=$((limit / 1024))
      fi
    fi
  done
  jobs=$((kib / (2 * 1024 * 1024)))
  jobs=$((jobs > cpus ? cpus : jobs))
  echo $((jobs < 1 ? 1 : jobs))
}

# tailrace_build PRESET [TARGET...]: configures build/PRESET and builds it; what is said goes to stderr.
tailrace_build() {
  local preset=$1 options=()
  shift
  if [[ ${CI:-} == true ]]; then
    options+=(-DTAILRACE_WERROR=ON)
  fi
  if command -v ccache >/dev/null; then
    options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
  fi
  cmake --preset "$preset" "${options[@]}" >&2
  cmake --build --preset "$preset" -j "$(tailrace_jobs)" ${1:+--target "$@"} >&2
}
