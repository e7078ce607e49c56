# What is installed on a node: the program, its unit, manual pages and completions. The latter two are
# written by the program itself, from its tables of commands and settings.
# RUN is what starts a program of another architecture, e.g. qemu-aarch64.
SHARE := $(BUILD)/share
RUN ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
# Manual pages carry a date: that of the last commit, so that two builds are the same.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)

share: $(SHARE)/.done
$(SHARE)/.done: $(BUILD)/peersync deploy/install.mk
	@rm -rf $(SHARE)
	@mkdir -p $(SHARE)/man $(SHARE)/completions
	@set -e; export SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH); for page in $$($(RUN) $< manual); do \
	  $(RUN) $< manual $$page >$(SHARE)/$$page.scd; scdoc <$(SHARE)/$$page.scd >$(SHARE)/man/$$page; \
	  rm $(SHARE)/$$page.scd; done
	@set -e; for shell in bash zsh fish; do $(RUN) $< completion $$shell >$(SHARE)/completions/$$shell; done
	@touch $@

install: all share
	install -D -m 755 $(BUILD)/peersync $(DESTDIR)$(PREFIX)/bin/peersync
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|^ExecStart=/usr/bin/|ExecStart=$(PREFIX)/bin/|' deploy/peersync.service >$(DESTDIR)$(UNITDIR)/peersync.service
	chmod 644 $(DESTDIR)$(UNITDIR)/peersync.service
	install -D -m 644 deploy/sysusers.d/peersync.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/peersync.conf
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/peersync/examples configs/config.yaml configs/reference.yaml
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/peersync deploy/keys.md deploy/containerd-store.md
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 $(SHARE)/man/*.1
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 $(SHARE)/man/*.5
	install -D -m 644 $(SHARE)/completions/bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/peersync
	install -D -m 644 $(SHARE)/completions/zsh $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/_peersync
	install -D -m 644 $(SHARE)/completions/fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/peersync.fish
	@[ -n '$(DESTDIR)' ] || echo 'Its user, and the first start: systemd-sysusers; systemctl daemon-reload; systemctl enable --now peersync'

.PHONY: share install
