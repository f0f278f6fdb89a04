# The commands of the house. CMake builds (CMakePresets.json), debian/control says what is needed.

.PHONY: help run test test-all deb fuzz bench tidy format clean needs

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1 \t/p' Makefile | expand -t 20

run:  ## install what is missing, build a release, and see the story (ARGS="..." goes to `adieu story`)
	@tools/needs.sh run
	@cmake --preset release > /dev/null
	@cmake --build --preset release --target programs
	build/adieu story $(ARGS)

test: needs  ## every test, sanitizers and half a minute of fuzzing: under 20 minutes on two cores
	@tools/test.sh quick

test-all: needs  ## every preset whole, clang-tidy, ten minutes of fuzzing
	@tools/test.sh all

deb:  ## a Debian package in build-deb/, looked at by lintian
	@tools/needs.sh deb
	@tools/deb.sh

SECONDS_EACH ?= 600
fuzz: needs  ## fuzz all of it (SECONDS_EACH=600)
	@cmake --preset fuzz > /dev/null
	@cmake --build --preset fuzz --target wire_fuzz connection_fuzz commands_fuzz filter_fuzz policy_fuzz
	@tools/fuzz.sh $(SECONDS_EACH)

bench: needs  ## measurements: idle octets a connection, a sweep's time, verdicts over 10,000 connection-days
	@for name in idle_bytes sweep verdicts; do echo "== $$name"; bench/run $$name || exit 1; done

tidy: needs  ## clang-tidy 19 over everything
	@cmake --preset tidy > /dev/null
	@cmake --build --preset tidy

format:  ## clang-format 19 over everything
	@git ls-files '*.cc' '*.h' '*.bpf.c' | xargs clang-format-19 -i

clean:  ## remove every build folder
	rm -rf build build-*

needs:
	@tools/needs.sh test
