# Tests of what is shipped, each with what it has to build first.
test-deb: all deb
	@tests/lib/deps.sh demo package
	@TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 $(MAKE) --no-print-directory deb BUILD=$(BUILD)/again
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/deb

test-image: all image $(B)/tests/netlab/wanem
	@tests/lib/deps.sh demo
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/image
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/lib/cell.sh image-swarm 90 \
	  tests/packages/image-swarm

.PHONY: test-deb test-image
