#!/usr/bin/env bash
# Installs what is missing: tools/setup.sh PURPOSE..., where PURPOSE is build, model, test, bench,
# oracles, aarch64 or make.
# Debian 12 is what it is tested on; Ubuntu 24.04 has the same package names (not tested).
source "$(dirname "$0")/shell.sh"

build=(
  g++ cmake ninja-build
  pkgconf             # finds libzip, PCRE2, utf8proc, libcurl, OpenSSL and libedit
  ccache              # an unchanged file is compiled once
  libfmt-dev          # error messages and all other text
  nlohmann-json3-dev  # configurations
  libsimdjson-dev     # vocabularies: JSON of many megabytes
  libcli11-dev        # command line options
  libedit-dev         # line editing and history in the chat
  libzip-dev          # npz files
  libutf8proc-dev     # Unicode normal forms, categories, widths
  libpcre2-dev        # the splitting patterns of vocabularies
  libcurl4-openssl-dev  # models from a hub
  libssl-dev          # SHA-256 of model files
  libeigen3-dev       # decompositions of matrices
)
model=(
  python3 python3-venv  # pip brings the default model
  ca-certificates       # and speaks TLS
)
test=(
  libgtest-dev libgmock-dev
  python3 python3-venv ca-certificates  # the terminal tests and the oracles
  valgrind                              # counts instructions
  openmpi-bin libopenmpi3               # programs of several processes
)
bench=(libbenchmark-dev)
aarch64=(
  g++-aarch64-linux-gnu  # compiles for 64-bit Arm
  qemu-user              # and runs it here
)
make=(make)

missing_packages() {
  dpkg-query -W -f='${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^installed //p' | sort -u | comm -13 - <(printf '%s\n' "$@" | sort -u)
}

apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -q -o DPkg::Lock::Timeout=300 "$@" >>build/setup.log 2>&1
}

install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    say "This is not a Debian system, so nothing is installed. Needed, by Debian's names: $*"
    return
  fi
  mapfile -t missing < <(missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  case "$(. /etc/os-release && echo "$ID $VERSION_ID")" in
    "debian 12") ;;
    *) say "Note: tested on Debian 12; this is another system." ;;
  esac
  as_root=()
  if [ "$(id -u)" != 0 ]; then
    as_root=(sudo)
    command -v sudo >/dev/null ||
      die "Packages are missing, and without sudo only root can install them: apt-get install ${missing[*]}"
  fi
  say "Installing with apt-get (up to two minutes): ${missing[*]}"
  mkdir -p build
  : >build/setup.log
  apt_get update || say "apt-get update did not succeed everywhere; trying with what is known."
  if ! apt_get install -y --no-install-recommends "${missing[@]}"; then
    tail -n 25 build/setup.log >&2
    die "apt-get could not install the packages above; the whole log is build/setup.log."
  fi
}

check_cmake() {
  local version
  version=$(cmake --version | sed -n 's/^cmake version //p')
  [ "$(printf '3.25\n%s\n' "$version" | sort -V | head -n 1)" = 3.25 ] ||
    die "cmake $version is first in PATH; Tarn needs 3.25 or later. Remove it or put /usr/bin first."
}

# The libraries that the tests compare with, at exact versions, in .venv-oracle. The stamp is
# written last, so an interrupted installation begins anew.
install_oracles() {
  local list=tests/oracle/requirements.txt stamp=.venv-oracle/installed wanted
  wanted="$(sha256sum <"$list") $(python --version)"
  [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || return 0
  say "Installing the oracles of the tests into .venv-oracle (about 30 seconds)"
  rm -rf .venv-oracle
  mkdir -p build
  if ! { python -m venv .venv-oracle &&
    .venv-oracle/bin/python -m pip install --no-deps --only-binary :all: -r "$list" &&
    .venv-oracle/bin/python -m pip check &&
    .venv-oracle/bin/python -c 'import jinja2, mlx.core, numpy, tokenizers'; } \
    >build/oracles.log 2>&1; then
    tail -n 15 build/oracles.log >&2
    die "The oracles are not installed; the whole log is build/oracles.log. Tests cannot do without."
  fi
  printf '%s\n' "$wanted" >"$stamp"
}

# For the other processor: the libraries of a build and its tests, from the lists above.
install_sysroot() {
  local libraries=() name
  for name in "${build[@]}" "${test[@]}"; do
    if [[ $name == *-dev ]]; then libraries+=("$name"); fi
  done
  tools/aarch64_sysroot.sh "${libraries[@]}"
}

packages=()
for purpose in "$@"; do
  case "$purpose" in
    build) packages+=("${build[@]}") ;;
    model) packages+=("${model[@]}") ;;
    test) packages+=("${test[@]}") ;;
    bench) packages+=("${bench[@]}") ;;
    make) packages+=("${make[@]}") ;;
    aarch64) packages+=("${aarch64[@]}") ;;
    oracles) ;;
    *)
      die "tools/setup.sh knows build, model, test, bench, oracles, aarch64 and make; not $purpose."
      ;;
  esac
done
[ ${#packages[@]} -eq 0 ] || install_packages "${packages[@]}"
for purpose in "$@"; do
  case "$purpose" in
    build) check_cmake ;;
    oracles) install_oracles ;;
    aarch64) install_sysroot ;;
  esac
done
