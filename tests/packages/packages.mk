# Tests of what is shipped, each with what it has to build first.
test-deb: all deb
	@tests/lib/deps.sh demo package
	@TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 $(MAKE) --no-print-directory deb BUILD=$(BUILD)/again
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/deb

.PHONY: test-deb
