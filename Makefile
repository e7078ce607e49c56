# One Makefile, no recursion into folders. `make help` lists the targets.
# MODE=release|asan|tsan picks the flags; each mode has its own folder below BUILD.
MODE ?= release
# CROSS=aarch64-linux-gnu|arm-linux-gnueabihf builds for another machine in a folder of its own, with a
# sysroot of Debian packages (deploy/cross.mk makes it; this machine's own packages stay as they are).
CROSS ?=
BUILD ?= build$(CROSS:%=/%)
ifneq ($(CROSS),)
SYSROOT := $(abspath build/cross)/$(CROSS)
CC := $(CROSS)-gcc --sysroot=$(SYSROOT)
AR := $(CROSS)-ar
CPPFLAGS_test := -DEMULATED
endif
PREFIX ?= /usr
B := $(BUILD)/$(MODE)
VERSION := 0.1.0

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wold-style-definition -Wundef -Wvla -Wformat=2 -Wwrite-strings -Wcast-qual -Wpointer-arith \
  -Wswitch-enum -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion -Wdouble-promotion
WARN_gcc   := -Wlogical-op -Wduplicated-cond -Wnull-dereference
WARN_clang := -Wthread-safety

MODE_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
# Unoptimized code is compiled in half the time, and what is wrong in it is not optimized away.
MODE_asan    := -O0 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_tsan    := -O1 -g1 -fsanitize=thread
LINK_release := -pie -Wl,-z,relro,-z,now
LINK_asan    := -fsanitize=address,undefined
LINK_tsan    := -fsanitize=thread
# Test programs are many: gold, where it is, links one in a quarter of the time.
GOLD := $(if $(CROSS),,$(if $(shell command -v ld.gold),-fuse-ld=gold))

# WERROR=-Werror: a warning ends the build. tests/run builds so, a user's newer compiler may not.
WERROR ?=
COMPILER := $(if $(findstring clang,$(CC)),clang,gcc)
# 64 bits for sizes of files and for time also where a word has 32. No library is given a time_t.
BASE_FLAGS := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64 -I. -DPEERSYNC_VERSION='"$(VERSION)"'
CFLAGS += $(BASE_FLAGS) $(WARN) $(WARN_$(COMPILER)) $(WERROR) -MMD -MP $(MODE_$(MODE)) -pthread
LDFLAGS += $(LINK_$(MODE)) -pthread

# Bottom to top. A floor's tests link only that floor and those below it, and what the
# floor may use of the system, so the linker proves that nothing reaches upward.
BELOW_base  :=
BELOW_cache := base
BELOW_p2p   := base
BELOW_proxy := p2p cache base
SYSTEM_base  := -lcrypto -lcjson -lyaml -lzstd
SYSTEM_cache := -lm $(SYSTEM_base)
SYSTEM_p2p   := -lcurl $(SYSTEM_base)
SYSTEM_proxy := -lmicrohttpd -lcurl -lssl -lpsl -lm $(SYSTEM_base)
FLOORS := base cache p2p proxy

# The program to use is build/peersync; other modes stay in their own folder.
all: $(if $(filter release,$(MODE)),$(BUILD)/peersync,$(B)/peersync)

$(B)/%.o: %.c Makefile | $(SYSROOT)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

# Tests themselves need not be fast (`make lint-gcc` has the warnings of -O2 for them, `make test` has not).
TEST_release := -O0 -U_FORTIFY_SOURCE
$(B)/tests/unit/%.o: CFLAGS += $(TEST_$(MODE))
# What tests under qemu-user (make test-arm) have to know.
$(B)/tests/%.o: CFLAGS += $(CPPFLAGS_test)

# The page of the admin port is part of the program (.incbin).
$(B)/proxy/page.o: proxy/page.html

define floor
$(B)/lib$(1).a: $(patsubst %.c,$(B)/%.o,$(filter-out proxy/main.c,$(wildcard $(1)/*.c $(1)/*/*.c)))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
LIBS_$(1) := $(foreach f,$(1) $(BELOW_$(1)),$(B)/lib$(f).a)
TESTS_$(1) := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$(1)/test_*.c))
$$(TESTS_$(1)): %: %.o $(B)/tests/unit/lib/end.o $$(LIBS_$(1))
	$$(CC) $$(LDFLAGS) $$(GOLD) -Wl,--wrap=_cmocka_run_group_tests -o $$@ $$< $(B)/tests/unit/lib/end.o $$(LIBS_$(1)) \
	  -lcmocka $$(SYSTEM_$(1))
TESTS += $$(TESTS_$(1))
endef
$(foreach f,$(FLOORS),$(eval $(call floor,$(f))))

$(BUILD)/peersync: $(BUILD)/release/peersync
	cp $< $@
$(B)/peersync: $(B)/proxy/main.o $(LIBS_proxy)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_proxy)

unit-build: $(TESTS)
# `make unit` runs every unit test, `make unit-cache` those of one floor; MODE as for the build.
unit: $(TESTS)
	@tests/run --build $(BUILD) 'unit-$(MODE)/*'
$(FLOORS:%=unit-%): unit-%: $(B)/lib%.a
	@$(MAKE) --no-print-directory $(TESTS_$*)
	@tests/run --build $(BUILD) 'unit-$(MODE)/$*/*'

# Test programs that are no unit tests have a .mk of their own.
-include $(wildcard tests/*/*.mk deploy/*.mk)
programs: $(if $(filter asan,$(MODE)),fuzz-replay-build)

# ---- lint: what passed once is not looked at again until it changes --------------------------
LINT := $(BUILD)/lint
HEADERS := $(foreach f,$(FLOORS),$(wildcard $(f)/*.h $(f)/*/*.h))
SOURCES := $(foreach f,$(FLOORS),$(wildcard $(f)/*.c $(f)/*/*.c))
TEST_SOURCES := $(wildcard tests/unit/*/*.c tests/unit/*/*.h tests/sim/*.c tests/sim/*.h tests/crash/*.c tests/crash/*.h tests/fuzz/*.c tests/bench/*.c tests/fake/*.c tests/netlab/*.c tests/netlab/*.h)
LINT_C := $(SOURCES) $(filter %.c,$(TEST_SOURCES))
SHELL_FILES := .ci/run $(shell grep -lsE '^\#!.*\b(ba)?sh$$' tests/*/* tests/bench/systems/* deploy/* deploy/debian/* 2>/dev/null | sort -u)
TIDY := $(firstword $(shell command -v clang-tidy-14 clang-tidy))
FORMAT := $(firstword $(shell command -v clang-format-14 clang-format))
CLANG := $(firstword $(shell command -v clang-14 clang))
# How many states of a function the analyzer looks at: its own default. `make test` asks for fewer.
TIDY_NODES ?= 225000
LINT_PARTS := gcc clang headers format house reference shell cppcheck tidy

lint: $(LINT_PARTS:%=lint-%)
lint-gcc: $(LINT_C:%.c=$(LINT)/gcc/%.o)
lint-clang: $(LINT_C:%.c=$(LINT)/clang/%.ok)
lint-tidy: $(SOURCES:%.c=$(LINT)/tidy/%.ok)
lint-headers: $(HEADERS:%=$(LINT)/header/%.ok)
lint-format:
	@$(FORMAT) --dry-run --Werror $(SOURCES) $(HEADERS) $(TEST_SOURCES)

$(LINT)/gcc/%.o: %.c Makefile
	@mkdir -p $(@D)
	@gcc $(BASE_FLAGS) -Werror $(WARN) $(WARN_gcc) -O2 -D_FORTIFY_SOURCE=2 -MMD -MP -pthread -c $< -o $@
# One list of headers serves clang and clang-tidy.
$(LINT)/clang/%.ok: %.c Makefile
	@mkdir -p $(@D)
	@$(CLANG) $(BASE_FLAGS) -Werror $(WARN) $(WARN_clang) -fsyntax-only \
	  -MMD -MP -MT '$@ $(LINT)/tidy/$*.ok' -MF $(@:.ok=.d) $<
	@touch $@
$(LINT)/tidy/%.ok: %.c .clang-tidy tests/tidy/tidy.h $(LINT)/clang/%.ok
	@mkdir -p $(@D)
	@$(TIDY) --quiet $< -- $(BASE_FLAGS) -include tests/tidy/tidy.h \
	  -Xclang -analyzer-config -Xclang max-nodes=$(TIDY_NODES) 2>$@.log >$@.out || { cat $@.out; grep -v ' generated' $@.log; exit 1; }
	@touch $@
# A header must compile alone.
$(LINT)/header/%.ok: % $(HEADERS)
	@mkdir -p $(@D)
	@echo '#include "$<"' | gcc $(BASE_FLAGS) -Werror $(WARN) -fsyntax-only -x c -
	@touch $@
lint-cppcheck:
	@mkdir -p $(LINT)/cppcheck
	@cppcheck --quiet --std=c11 -D_GNU_SOURCE -DPEERSYNC_VERSION='""' -I. \
	  --enable=warning,performance,portability --inline-suppr --suppress=missingInclude \
	  --suppressions-list=tests/tidy/cppcheck.txt --include=tests/tidy/cppcheck.h --error-exitcode=1 \
	  --cppcheck-build-dir=$(LINT)/cppcheck -j 2 $(SOURCES)
# Floors, banned words, lengths, stray files: tests/tidy/house.py says which rules.
lint-house:
	@tests/tidy/floors.sh
	@python3 tests/tidy/house.py
# What is generated from the tables is current.
lint-reference:
	@python3 tests/tidy/reference.py --check
lint-shell: $(SHELL_FILES:%=$(LINT)/shell/%.ok)
$(LINT)/shell/%.ok: % tests/lib/lib.sh
	@mkdir -p $(@D)
	@shellcheck -x -P SCRIPTDIR -e SC2317 $<
	@touch $@

# ---- people's targets ------------------------------------------------------------------------
deps:
	@tests/lib/deps.sh build demo test
deps-%:
	@tests/lib/deps.sh $(subst -, ,$*)

# The tests that a name or a pattern picks: `make test ONLY='docker-*'`.
test: deps
	@tests/run --build $(BUILD) $(ONLY)

# The page in headless Chromium, whose pictures are in BUILD/page, and a real Prometheus.
test-page: deps-build-page
	@$(MAKE) --no-print-directory -s all $(PROGRAMS_netlab)
	@tests/run --build $(BUILD) 'scenario/page-*' 'scenario/prometheus-*'

# configs/metrics.md and configs/events.md, from the tables.
reference:
	@python3 tests/tidy/reference.py

fuzz-build: deps-build-test
bench bench-node: deps-build-bench

demo: deps-build-demo
	@echo 'building $(BUILD)/peersync'
	@$(MAKE) --no-print-directory -s all $(B)/tests/netlab/wanem
	@PEERSYNC=$(abspath $(BUILD))/peersync KEEP=$(KEEP) tests/demo/demo.sh

clean:
	rm -rf $(BUILD)

help:
	@echo 'make              build $(BUILD)/peersync (MODE=asan|tsan: $(BUILD)/MODE/peersync)'
	@echo 'make demo         real runtimes pull through one node, six nodes share a pull (KEEP=1 keeps it)'
	@echo "make test         everything that must pass (ONLY='name or pattern' picks; tests/run --list)"
	@echo 'make test-page    the page of the admin port in headless Chromium ($(BUILD)/page), and Prometheus'
	@echo 'make lint         compilers, clang-tidy, cppcheck, house rules ($(LINT_PARTS:%=lint-%))'
	@echo 'make reference    writes configs/metrics.md and configs/events.md anew'
	@echo 'make unit         unit tests (MODE=asan|tsan; make unit-base unit-cache unit-p2p unit-proxy)'
	@echo 'make fuzz         libFuzzer on every parser (SECONDS=60 each)'
	@echo 'make sim          elections of many nodes in virtual time (SEEDS=2000 SEED=; SIM=pull: whole pulls)'
	@echo 'make crash        every state that a power cut may leave (SCRIPT= SHUFFLES=64)'
	@echo 'make soak         faults that need many tries: kill -9 1,000 times, 400 flipped bits; an hour at most'
	@echo 'make sim-scale    sites of 1,000 nodes and 100 sites of 100 in virtual time; sim-ablate: rules left out'
	@echo 'make lab          sites of real nodes behind thin WANs in namespaces, and their table'
	@echo "make bench        the swarm against other ways to pull, at the edge: an hour (QUICK=1: 5 minutes)"
	@echo 'make bench-cache  what an index of 100,000 blobs costs (BLOBS=)'
	@echo 'make bench-node   the table of figures of one node (QUICK=1)'
	@echo 'make deps         installs the Debian packages that are missing (as root)'
	@echo 'make install      DESTDIR= PREFIX=$(PREFIX): program, unit, manual pages, completions'
	@echo 'make deb          the Debian package in $(BUILD)/deb (make test-deb: in a fresh root)'
	@echo 'make image        the container image as an OCI layout in $(BUILD)/image (make test-image: in dockerd and swarm)'
	@echo 'make CROSS=aarch64-linux-gnu   for another machine, also arm-linux-gnueabihf (make test-arm: under qemu)'
	@echo 'make clean        removes $(BUILD)'

.PHONY: all unit unit-build programs $(FLOORS:%=unit-%) lint $(LINT_PARTS:%=lint-%) deps test test-page reference demo clean help
.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(B) $(LINT) -name '*.d' 2>/dev/null)
