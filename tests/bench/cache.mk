# `make bench-cache`: what an index of 100,000 blobs costs (BLOBS=), in a folder of BUILD.
BLOBS ?= 100000
$(B)/tests/bench/cache: $(B)/tests/bench/cache.o $(LIBS_cache)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_cache)
programs: $(B)/tests/bench/cache
bench-cache: $(B)/tests/bench/cache
	@$(B)/tests/bench/cache $(BUILD) --blobs $(BLOBS)
.PHONY: bench-cache
