# Fuzzing of every parser that reads what others wrote: one tests/fuzz/fuzz_NAME.c each.
#   make fuzz [SECONDS=60] [FUZZ=NAME]   clang's libFuzzer with address and undefined sanitizers;
#                                        new inputs below $(BUILD)/fuzz/corpus, finds below found/
#   make MODE=asan fuzz-replay           the small corpora in tests/fuzz/corpus, in seconds
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ ?= $(FUZZ_NAMES)
SECONDS ?= 60
F := $(BUILD)/fuzz
FUZZ_CC ?= $(firstword $(shell command -v clang-14 clang) clang)
FUZZ_SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_CFLAGS := $(BASE_FLAGS) -O1 -g -fno-omit-frame-pointer $(FUZZ_SAN) \
  -fsanitize=fuzzer-no-link -MMD -MP -pthread
# What the targets call, and what that calls: the pure rooms and base.
FUZZ_SOURCES := $(wildcard base/*.c p2p/*.c) cache/frames.c cache/pieces.c cache/record.c \
  proxy/cli/image.c \
  proxy/http/guard.c \
  $(patsubst %,proxy/api/%.c,manifest pagelink range reason ref route) \
  $(patsubst %,proxy/upstream/%.c,challenge creds head realm unpack url)
REPLAYS := $(addprefix $(B)/tests/fuzz/replay_,$(FUZZ_NAMES))

$(F)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) -c $< -o $@
$(F)/libpure.a: $(patsubst %.c,$(F)/obj/%.o,$(FUZZ_SOURCES))
	@rm -f $@
	$(AR) rcs $@ $^
$(F)/fuzz_%: $(F)/obj/tests/fuzz/fuzz_%.o $(F)/libpure.a
	$(FUZZ_CC) $(FUZZ_SAN) -fsanitize=fuzzer -pthread -o $@ $^ $(SYSTEM_proxy)

fuzz-build: $(addprefix $(F)/fuzz_,$(FUZZ))
# Two at a time: the machine's other cores are for the rest of the night's work.
fuzz: deps-build-test fuzz-build
	@printf '%s\n' $(FUZZ) | xargs -P 2 -I NAME sh tests/fuzz/run.sh $(F) NAME $(SECONDS)

$(REPLAYS): $(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(LIBS_proxy)
	$(CC) $(LDFLAGS) $(GOLD) -o $@ $^ $(SYSTEM_proxy)
fuzz-replay-build: $(REPLAYS)
fuzz-replay: $(REPLAYS)
	@for n in $(FUZZ_NAMES); do $(B)/tests/fuzz/replay_$$n tests/fuzz/corpus/$$n || exit 1; done

.PHONY: fuzz fuzz-build fuzz-replay fuzz-replay-build
-include $(shell find $(F)/obj -name '*.d' 2>/dev/null)
