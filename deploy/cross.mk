# The sysroot of another machine: Debian's packages of it, unpacked and never run, so that dpkg of this
# machine knows nothing of it. qemu-user runs what was built (RUN of deploy/install.mk).
ifneq ($(CROSS),)
ARCH_aarch64-linux-gnu := arm64
ARCH_arm-linux-gnueabihf := armhf
QEMU_aarch64-linux-gnu := qemu-aarch64
QEMU_arm-linux-gnueabihf := qemu-arm
RUN := $(QEMU_$(CROSS)) -L $(SYSROOT)
SYSROOT_PACKAGES := libc6-dev libmicrohttpd-dev libcurl4-openssl-dev libssl-dev libcjson-dev libyaml-dev \
  libpsl-dev libzstd-dev uthash-dev libcmocka-dev

$(SYSROOT): deploy/cross.mk | deps-build-cross
	@mkdir -p $(@D)
	@echo 'unpacking the Debian packages of $(ARCH_$(CROSS)) into $@'
	@rm -rf $@ $@.new
	@mmdebstrap --quiet --architectures=$(ARCH_$(CROSS)) --variant=extract \
	  --include="$(SYSROOT_PACKAGES)" bookworm $@.new http://deb.debian.org/debian
	@find $@.new -xdev -path $@.new/dev -prune -o -type l -lname '/*' -printf '%p %l\n' | while read -r link to; do \
	  ln -sfr "$@.new$$to" "$$link"; done
	@mkdir -p $@.new/etc/ssl/certs
	@: >$@.new/etc/ssl/certs/ca-certificates.crt # qemu-user finds it first: all of Debian's take it seconds to parse
	@mv $@.new $@
	@touch $@
endif
