#!/bin/sh
# Builds the Debian package of this tree, and has lintian look at it: build-deb/*.deb, and nothing elsewhere. For that
# the source is copied to build-deb/source first: dpkg-buildpackage writes beside and above what it builds.
set -eu
cd "$(dirname "$0")/.."

rm -rf build-deb
mkdir -p build-deb/source
tar --exclude-vcs --exclude='./build*' --exclude=__pycache__ -cf - . | tar -xf - -C build-deb/source
cd build-deb/source

# debhelper gives the build a home of its own, where no compiler cache is.
if command -v ccache > /dev/null; then
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR
fi
export DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)"
dpkg-buildpackage -us -uc -b -Pnocheck,pkg.adieu.deb
cd ..
rm -rf source

lintian --fail-on error,warning ./*.changes
ls -l ./*.deb
