# The states that a power cut may leave:
#   make crash [SCRIPT=publish] [SHUFFLES=64] [SEED=1]   tests/crash/explore.c
#   make crash-mutate                                   what notices a broken rule of the store
SHUFFLES ?= 64
# As 64-bit offsets name them (Makefile).
CRASH_CALLS := openat64 mkdirat pwrite64 fallocate64 ftruncate64 fsync fdatasync renameat unlinkat
CRASH_LINK := $(CRASH_CALLS:%=-Wl,--wrap=%)
CRASH_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/crash/*.c))
PROGRAMS_crash := $(B)/tests/crash/explore
$(PROGRAMS_crash): $(CRASH_OBJECTS) $(LIBS_cache)
	$(CC) $(LDFLAGS) $(CRASH_LINK) -o $@ $^ $(SYSTEM_cache)
crash: $(PROGRAMS_crash)
	@$(PROGRAMS_crash) $(SCRIPT) --shuffles $(SHUFFLES) $(if $(SEED),--seed $(SEED))
programs: $(PROGRAMS_crash)
crash-mutate: $(PROGRAMS_crash)
	@tests/crash/mutate --build $(BUILD)
.PHONY: crash crash-mutate
