# `make bench-node`: the figures of one node against nginx and docker-registry, as a Markdown table.
# QUICK=1 takes 256 MiB blobs and 3 rounds; SUBJECT=nginx tests the bench with nginx in our place.
SUBJECT ?= peersync

$(B)/tests/bench/pull: $(B)/tests/bench/pull.o $(LIBS_base)
	$(CC) $(LDFLAGS) -o $@ $< $(LIBS_base) $(SYSTEM_base)

# The scenario bench-one-row tests the bench itself.
programs: $(if $(filter release,$(MODE)),$(B)/tests/bench/pull)

bench-node: deps-build-bench $(BUILD)/peersync $(B)/tests/bench/pull
	@QUICK=$(QUICK) python3 tests/bench/node.py --peersync $(BUILD)/peersync \
	  --pull $(B)/tests/bench/pull --subject $(SUBJECT)

# `make bench`: sites of real nodes behind thin WANs, against other ways to bring an image there, and
# models of others in the simulator; edge.py says what QUICK=1, ONLY=, SYSTEMS=, MERGE=1, MINUTES=,
# SHARE=1 do. In pieces: make bench MERGE=1 MINUTES=8 ONLY='stable/*', then the next one; at the end
# make bench REPORT=1 puts the table and two pictures into README.md.
# Debian's own Python: python3-matplotlib belongs to it.
bench: deps-build-bench
	@$(MAKE) --no-print-directory -s all $(B)/tests/bench/pull $(PROGRAMS_netlab) $(B)/tests/sim/sim
	@QUICK='$(QUICK)' ONLY='$(ONLY)' SYSTEMS='$(SYSTEMS)' SHARE='$(SHARE)' MERGE='$(MERGE)' \
	  REPORT='$(REPORT)' MINUTES='$(MINUTES)' \
	  /usr/bin/python3 tests/bench/edge.py \
	  --peersync $(BUILD)/peersync --pull $(B)/tests/bench/pull --sim $(B)/tests/sim/sim \
	  --build $(BUILD) --out $(BUILD)/bench
.PHONY: bench bench-node
