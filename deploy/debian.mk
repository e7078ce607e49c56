# make deb: build/deb/peersync_VERSION_ARCH.deb, out of a copy of the tree with deploy/debian at its top.
# Nothing of this machine gets in: two builds of one commit are the same to the byte.
DEB := $(BUILD)/deb
DEB_TREE := $(DEB)/peersync-$(VERSION)
TREE := $(shell git ls-files -co --exclude-standard 2>/dev/null || find . -type f -not -path './$(BUILD)/*')

deb: $(DEB)/.done
$(DEB)/.done: $(TREE)
	@tests/lib/deps.sh build package
	@rm -rf $(DEB)
	@mkdir -p $(DEB_TREE)
	@tar -c --ignore-failed-read $(filter-out .git% tests/fuzz/corpus/%,$^) | tar -x -C $(DEB_TREE)
	@mv $(DEB_TREE)/deploy/debian $(DEB_TREE)/debian
	@cd $(DEB_TREE) && env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS dpkg-buildpackage -b -us -uc >../build.log 2>&1 || { tail -40 ../build.log; exit 1; }
	@lintian --fail-on error,warning $(DEB)/peersync_$(VERSION)_*.changes
	@touch $@
	@ls $(DEB)/*.deb

.PHONY: deb
