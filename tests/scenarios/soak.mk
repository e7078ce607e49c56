# `make soak`: the faults that need many tries; an hour at most (make test has each, fewer times).
#   states of a power cut, 512 mixtures each; 400 flipped bits; kill -9, 1,000 times; boards of 1 GiB
soak: all $(PROGRAMS_crash)
	@$(PROGRAMS_crash) --shuffles 512
	@for seed in 1 2 3 4 5 6 7 8 9 10; do \
	  SEED=$$seed PEERSYNC=$(abspath $(BUILD))/peersync tests/scenarios/disk-bit-rot || exit 1; done
	@ROUNDS=1000 STRETCH=10 PEERSYNC=$(abspath $(BUILD))/peersync tests/scenarios/kill-nine-under-load
	@MEMORY=1024 STRETCH=4 PEERSYNC=$(abspath $(BUILD))/peersync tests/scenarios/board-1-gib
.PHONY: soak
