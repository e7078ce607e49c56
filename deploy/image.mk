# make image: the container image as an OCI layout in build/image/oci, with its bill of materials beside it.
# What Debian has as a static library is linked in and only the parts in use: half the size of the shared
# ones; tables for unwinding, which nothing in C asks for and libgcc is not there to read, stay out.
# PKCS #11 and cJSON have none, they come along as they are. What libcurl calls for rtmp:, ldap: and Kerberos
# is left out, an eighth of it all: every request of ours says CURLOPT_PROTOCOLS_STR http(s), and where a proxy or
# a password may come in, which authentication may be used.
IMAGE := $(BUILD)/image
IMAGE_STATIC := microhttpd curl nghttp2 ssh2 psl idn2 ssl crypto zstd brotlidec brotlicommon z gnutls hogweed nettle \
  gmp unistring tasn1 yaml
IMAGE_SHARED := cjson p11-kit
IMAGE_LEFT_OUT := RTMP_* ldap_* ber_* gss_* GSS_*

image: deps-build-image $(IMAGE)/.done
$(IMAGE)/.done: $(IMAGE)/peersync deploy/image/oci.py
	@python3 deploy/image/oci.py --program $< --linked $(IMAGE)/linked --version $(VERSION) \
	  --epoch $(SOURCE_DATE_EPOCH) --out $(IMAGE)
	@touch $@
$(IMAGE)/peersync: $(B)/proxy/main.o $(LIBS_proxy) deploy/image.mk
	@mkdir -p $(IMAGE)/lib
	@set -f; for lib in $(IMAGE_STATIC); do objcopy -w $(IMAGE_LEFT_OUT:%=--weaken-symbol=%) -R .eh_frame -R .rela.eh_frame \
	  "$$($(CC) -print-file-name=lib$$lib.a)" $(IMAGE)/lib/lib$$lib.a || exit 1; done
	@$(CC) $(LDFLAGS) -Wl,--gc-sections -Wl,-z,pack-relative-relocs -Wl,-z,nodynamic-undefined-weak -Wl,--trace -L$(IMAGE)/lib -o $@ $(B)/proxy/main.o $(LIBS_proxy) -Wl,--start-group \
	  $(IMAGE_STATIC:%=-l:lib%.a) -Wl,--end-group $(IMAGE_SHARED:%=-l%) -lm >$(IMAGE)/linked 2>$(IMAGE)/link.log || \
	  { cat $(IMAGE)/link.log; exit 1; }
	@sed -i 's|^$(IMAGE)/lib/|$(dir $(shell $(CC) -print-file-name=libz.a))|; s|($(IMAGE)/lib/|($(dir $(shell $(CC) -print-file-name=libz.a))|' $(IMAGE)/linked
	@rm -r $(IMAGE)/lib
	@strip --strip-all $@

.PHONY: image
