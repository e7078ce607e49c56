# `make bench-node`: the figures of one node against nginx and docker-registry, as a Markdown table.
# QUICK=1 takes 256 MiB blobs and 3 rounds; SUBJECT=nginx tests the bench with nginx in our place.
SUBJECT ?= peersync

$(B)/tests/bench/pull: $(B)/tests/bench/pull.o $(LIBS_base)
	$(CC) $(LDFLAGS) -o $@ $< $(LIBS_base) $(SYSTEM_base)

bench-node: deps-build-bench $(BUILD)/peersync $(B)/tests/bench/pull
	@QUICK=$(QUICK) python3 tests/bench/node.py --peersync $(BUILD)/peersync \
	  --pull $(B)/tests/bench/pull --subject $(SUBJECT)
.PHONY: bench-node
