# SPDX-License-Identifier: Apache-2.0
# A thin door to meson. `make help` lists what there is.
.DEFAULT_GOAL = all

BUILD ?= build
# Without a home that can be written to, ccache has no place.
ifneq ($(shell [ -d "$$HOME" ] && [ -w "$$HOME" ] && echo yes),yes)
export CCACHE_DISABLE = 1
endif
NINJA = ninja -C $(BUILD)
QUIET = >$(BUILD)/meson-output.txt 2>&1 || { cat $(BUILD)/meson-output.txt; exit 1; }

include test/long/long.mk

all: build ## build everything into build/

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile test/long/long.mk | expand -t 24

packages:
	@tools/install-packages build

test-packages:
	@tools/install-packages build test

$(BUILD)/build.ninja:
	@mkdir -p $(BUILD)
	@meson setup $(BUILD) -Dwerror=$(if $(CI),true,false) $(QUIET)

build: packages
	@[ -e $(BUILD)/postern ] || echo "Building; the first time takes a minute or two."
	@$(MAKE) -s $(BUILD)/build.ninja
	@$(NINJA) $(QUIET)

run: build ## start a development instance on loopback, with the outside world
	@tools/development/run $(BUILD)/postern

test: test-packages build ## everything that must pass before a change lands
	@BUILD=$(abspath $(BUILD)) test/run

check: test-packages build ## room tests only, seconds
	@meson test -C $(BUILD) --suite rooms --suite corpus --print-errorlogs

system: test-packages build ## whole-program tests only; ARGS go to pytest
	@BUILD=$(abspath $(BUILD)) test/run system $(ARGS)

san: test-packages ## the tests under AddressSanitizer and UBSan
	@test/run asan

crash: test-packages build ## the long crash loop; ROUNDS=200
	@CRASH_ROUNDS=$(or $(ROUNDS),200) BUILD=$(abspath $(BUILD)) test/run system -k crash

.PHONY: power faults
power: test-packages build ## power cuts under load, on simulated disks; CUTS=10000
	@BUILD=$(abspath $(BUILD)) test/run power --cuts $(or $(CUTS),10000) $(ARGS)

faults: test-packages build ## failing calls and full disks; ROUNDS=160, ARGS="--only 'keeper sync'"
	@BUILD=$(abspath $(BUILD)) test/run faults --rounds $(or $(ROUNDS),160) $(ARGS)

.PHONY: scan
scan: test-packages build ## our listening ports, looked at by testssl.sh and by weak clients
	@BUILD=$(abspath $(BUILD)) test/run system test/system/test_scan.py --long -s

large: test-packages build ## a message of a gigabyte through every role, with a ceiling on memory
	@BUILD=$(abspath $(BUILD)) test/run system -k test_large --long -s

bench: release ## speed beside Postfix, Exim and OpenSMTPD, in under five minutes
	@POSTERN=$(abspath build-release/postern) bench/bench.py quick $(ARGS)

bench-musts: release ## the figures that have floors: five rounds of 10 s each; goes on where it stopped
	@POSTERN=$(abspath build-release/postern) bench/bench.py musts $(ARGS)

bench-full: release ## one thing varied at a time: sizes, sessions, TLS, DKIM, domains, slow sinks; goes on where it stopped
	@POSTERN=$(abspath build-release/postern) bench/bench.py full $(ARGS)

bench-report: release ## put what bench-musts and bench-full measured into doc/performance.md
	@POSTERN=$(abspath build-release/postern) bench/bench.py write

release: test-packages
	@mkdir -p build-release
	@[ -f build-release/build.ninja ] || meson setup build-release --buildtype=release -Dstrip=false >/dev/null
	@ninja -C build-release >build-release/log 2>&1 || { tail -40 build-release/log; exit 1; }

fuzz: test-packages ## fuzz every target for SECONDS (60) each, or one: TARGET=name
	@tools/fuzz "$(TARGET)" "$(or $(SECONDS),60)"

lint: test-packages build ## the rules of the house, as programs
	@tools/lint

analyze: test-packages build ## static analysis: gcc -fanalyzer, cppcheck, clang-tidy
	@tools/analyze

fmt: test-packages ## format the code in place
	@git ls-files '*.c' '*.h' | grep -v '^bench/' | xargs clang-format -i

install: build ## install the program, its unit, manual and first settings (DESTDIR)
	@meson install -C $(BUILD) --no-rebuild $(if $(DESTDIR),--destdir $(DESTDIR)) $(QUIET)
	@sed -n 's/^postern: //p' $(BUILD)/meson-output.txt

uninstall: ## remove what `make install` installed; settings, keys and mail stay
	@$(NINJA) uninstall $(QUIET)

deb: ## build the Debian package in build-deb/
	@tools/install-packages build package
	@tools/make-deb $(ARGS)

deb-test: deb ## install it in a fresh Debian, run it under systemd, upgrade, purge
	@test/package/run build-deb/postern_*.deb

clean: ## remove everything that was built
	rm -rf build build-*

.PHONY: all help packages test-packages build run test check system san crash large bench bench-musts bench-full bench-report release fuzz lint analyze fmt install uninstall deb deb-test clean
