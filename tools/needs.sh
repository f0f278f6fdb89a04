#!/bin/sh
# Installs what debian/control lists, if anything of it is missing. With root or sudo; else it says what to run.
#
# usage: needs.sh run|deb|test     run, deb: without the packages that only tests and work on the code need
set -eu
cd "$(dirname "$0")/.."

case $1 in
  run) profile=-Pnocheck ;;
  deb) profile=-Pnocheck,pkg.adieu.deb ;;
  *) profile= ;;
esac

if ! command -v apt-get > /dev/null; then
  echo "This is no Debian: what adieu needs is listed in debian/control. Going on with what is here." >&2
  exit 0
fi
# dpkg-checkbuilddeps is itself among what a fresh system lacks.
if command -v dpkg-checkbuilddeps > /dev/null && missing=$(dpkg-checkbuilddeps $profile debian/control 2>&1); then
  exit 0
fi

if [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo > /dev/null; then
  as_root=sudo
else
  echo "${missing:-Packages are missing.}" >&2
  echo "Neither root nor sudo is here to install them. As root, run in $(pwd):" >&2
  echo "  apt-get update && apt-get build-dep --no-install-recommends ./" >&2
  exit 1
fi

echo "Installing what is missing: ${missing:-the packages that debian/control lists}"
# Without fresh lists a package may be unknown, or gone from the mirror. Offline, what was fetched before may do.
$as_root apt-get -q update || echo "apt-get update failed; trying with the lists that are here" >&2
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends build-dep $profile ./
