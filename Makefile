# One Makefile, no recursion. `make help` lists what there is.
# MODE=release|asan|tsan picks the flags; each mode has its own folder below BUILD.
MODE ?= release
BUILD ?= build
B := $(BUILD)/$(MODE)
VERSION := 0.1.0

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wold-style-definition -Wundef -Wvla -Wformat=2 -Wwrite-strings -Wcast-qual -Wpointer-arith \
  -Wswitch-enum -Wimplicit-fallthrough -Wconversion -Wno-sign-conversion -Wdouble-promotion
WARN_gcc   := -Wlogical-op -Wduplicated-cond -Wnull-dereference
WARN_clang := -Wthread-safety

MODE_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fPIE
MODE_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
MODE_tsan    := -O1 -g -fsanitize=thread
LINK_release := -pie -Wl,-z,relro,-z,now
LINK_asan    := -fsanitize=address,undefined
LINK_tsan    := -fsanitize=thread

COMPILER := $(if $(findstring clang,$(CC)),clang,gcc)
BASE_FLAGS := -std=c11 -D_GNU_SOURCE -I. -DPEERSYNC_VERSION='"$(VERSION)"' $(WARN)
CFLAGS += $(BASE_FLAGS) $(WARN_$(COMPILER)) -MMD -MP $(MODE_$(MODE)) -pthread
LDFLAGS += $(LINK_$(MODE)) -pthread

# Bottom to top. A floor's tests link only that floor and those below it, and what the
# floor may use of the system, so the linker proves that nothing reaches upward.
BELOW_base  :=
BELOW_cache := base
BELOW_p2p   := base
BELOW_proxy := p2p cache base
SYSTEM_base  := -lcrypto -lcjson -lyaml
SYSTEM_cache := $(SYSTEM_base)
SYSTEM_p2p   := $(SYSTEM_base)
SYSTEM_proxy := -lmicrohttpd -lcurl -lssl -lpsl $(SYSTEM_base)
FLOORS := base cache p2p proxy

all: $(BUILD)/peersync

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c $< -o $@

define floor
$(B)/lib$(1).a: $(patsubst %.c,$(B)/%.o,$(filter-out proxy/main.c,$(wildcard $(1)/*.c)))
	@rm -f $$@
	$$(AR) rcs $$@ $$^
LIBS_$(1) := $(foreach f,$(1) $(BELOW_$(1)),$(B)/lib$(f).a)
TESTS_$(1) := $(patsubst %.c,$(B)/%,$(wildcard tests/unit/$(1)/test_*.c))
$$(TESTS_$(1)): %: %.o $$(LIBS_$(1))
	$$(CC) $$(LDFLAGS) -o $$@ $$< $$(LIBS_$(1)) -lcmocka $$(SYSTEM_$(1))
TESTS += $$(TESTS_$(1))
endef
$(foreach f,$(FLOORS),$(eval $(call floor,$(f))))

$(BUILD)/peersync: $(B)/peersync
	@mkdir -p $(BUILD)
	cp $< $@
$(B)/peersync: $(B)/proxy/main.o $(LIBS_proxy)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_proxy)

unit-build: $(TESTS)
# `make unit` runs every unit test; `make unit-cache` only one floor's.
unit: $(TESTS)
	@for t in $(TESTS); do ./$$t || exit 1; done
unit-%: $(B)/lib%.a
	@$(MAKE) --no-print-directory $(TESTS_$*) && for t in $(TESTS_$*); do ./$$t || exit 1; done

clean:
	rm -rf $(BUILD)

.PHONY: all unit unit-build clean
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
