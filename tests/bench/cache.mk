# `make bench-cache`: what an index of 100,000 blobs costs (BLOBS=), in a folder of BUILD.
BLOBS ?= 100000
$(B)/tests/bench/cache: $(B)/tests/bench/cache.o $(LIBS_cache)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_cache)
programs: $(B)/tests/bench/cache
bench-cache: $(B)/tests/bench/cache
	@$(B)/tests/bench/cache $(BUILD) --blobs $(BLOBS)
# `make bench-pack`: cache.compress on a plain tar of real files and on its gzip (FILES=).
FILES ?= $(BUILD)/bench-pack/tar $(BUILD)/bench-pack/tar.gz
$(B)/tests/bench/pack: $(B)/tests/bench/pack.o $(LIBS_cache)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_cache)
programs: $(B)/tests/bench/pack
$(BUILD)/bench-pack/tar:
	@mkdir -p $(@D)
	@tar -C / -cf $@ --exclude=*.pyc usr/lib/python3.11 usr/sbin usr/share/doc
$(BUILD)/bench-pack/tar.gz: $(BUILD)/bench-pack/tar
	@gzip -c $< >$@
bench-pack: $(B)/tests/bench/pack $(FILES)
	@$(B)/tests/bench/pack $(BUILD)/bench-pack/cache $(FILES)
.PHONY: bench-cache bench-pack
