#!/usr/bin/env bash
# Makes build/aarch64-sysroot, the libraries of a 64-bit Arm system: tools/aarch64_sysroot.sh PACKAGE...
# The packages and all that they depend on are fetched by apt from the sources of this system, with
# lists and state of their own in build/aarch64-packages, and unpacked. Nothing is installed.
source "$(dirname "$0")/shell.sh"

sysroot=build/aarch64-sysroot store=$PWD/build/aarch64-packages
stamp=$sysroot/unpacked
[ "$(cat "$stamp" 2>/dev/null || true)" != "$*" ] || exit 0

say "Fetching the libraries of the aarch64 build into $sysroot (about a minute)"
mkdir -p "$store/lists/partial" "$store/archives/partial"
: >"$store/status" # an empty system, so that everything counts as missing
log=$store/log
apt_arm64() {
  apt-get -q -y -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
    -o APT::Install-Recommends=false -o Debug::NoLocking=1 -o Dir::State="$store" \
    -o Dir::State::status="$store/status" -o Dir::Cache="$store" "$@" >>"$log" 2>&1
}
: >"$log"
apt_arm64 update || say "apt-get update did not succeed everywhere; trying with what is known."
if ! apt_arm64 --download-only install "$@"; then
  tail -n 15 "$log" >&2
  die "The libraries could not be fetched; the whole log is build/aarch64-packages/log."
fi

# Moved into place when it is whole. The C library's headers come with the cross compiler.
rm -rf "$sysroot" "$sysroot.new"
mkdir -p "$sysroot.new"
for package in "$store"/archives/*.deb; do
  case "$(basename "$package")" in
    libc6-dev_* | linux-libc-dev_* | libc-dev-bin_*) ;;
    *) dpkg-deb --extract "$package" "$sysroot.new" ;;
  esac
done
printf '%s\n' "$*" >"$sysroot.new/unpacked"
mv "$sysroot.new" "$sysroot"
