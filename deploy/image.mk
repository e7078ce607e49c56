# make image: the container image as an OCI layout in build/image/oci, with its bill of materials beside it.
# What Debian has as a static library is linked in and only the parts in use: half the size of the shared
# ones; tables for unwinding, which nothing in C asks for and libgcc is not there to read, stay out. Kerberos, SASL, PKCS #11 and cJSON have none, they come along as they are.
IMAGE := $(BUILD)/image
IMAGE_STATIC := microhttpd curl nghttp2 rtmp ssh2 psl idn2 ssl crypto ldap lber zstd brotlidec brotlicommon \
  z gnutls hogweed nettle gmp unistring tasn1 yaml
IMAGE_SHARED := sasl2 cjson p11-kit gssapi_krb5

image: deps-build-image $(IMAGE)/.done
$(IMAGE)/.done: $(IMAGE)/peersync deploy/image/oci.py
	@python3 deploy/image/oci.py --program $< --linked $(IMAGE)/linked --version $(VERSION) \
	  --epoch $(SOURCE_DATE_EPOCH) --out $(IMAGE)
	@touch $@
$(IMAGE)/peersync: $(B)/proxy/main.o $(LIBS_proxy) deploy/image.mk
	@mkdir -p $(IMAGE)/lib
	@for lib in $(IMAGE_STATIC); do objcopy -R .eh_frame -R .rela.eh_frame \
	  "$$($(CC) -print-file-name=lib$$lib.a)" $(IMAGE)/lib/lib$$lib.a || exit 1; done
	@$(CC) $(LDFLAGS) -Wl,--gc-sections -Wl,-z,pack-relative-relocs -Wl,--trace -L$(IMAGE)/lib -o $@ $(B)/proxy/main.o $(LIBS_proxy) -Wl,--start-group \
	  $(IMAGE_STATIC:%=-l:lib%.a) -Wl,--end-group $(IMAGE_SHARED:%=-l%) -lm >$(IMAGE)/linked 2>$(IMAGE)/link.log || \
	  { cat $(IMAGE)/link.log; exit 1; }
	@sed -i 's|^$(IMAGE)/lib/|$(dir $(shell $(CC) -print-file-name=libz.a))|; s|($(IMAGE)/lib/|($(dir $(shell $(CC) -print-file-name=libz.a))|' $(IMAGE)/linked
	@rm -r $(IMAGE)/lib
	@strip --strip-all $@

.PHONY: image
