# make image: the container image as an OCI layout in build/image/oci, with its bill of materials beside it.
# What Debian has as a static library is linked in and only the parts in use: half the size of the shared
# ones. Kerberos, SASL, PKCS #11 and cJSON have none, they come along as they are.
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
	@mkdir -p $(IMAGE)
	@$(CC) $(LDFLAGS) -Wl,--gc-sections -Wl,--trace -o $@ $(B)/proxy/main.o $(LIBS_proxy) -Wl,--start-group \
	  $(IMAGE_STATIC:%=-l:lib%.a) -Wl,--end-group $(IMAGE_SHARED:%=-l%) -lm >$(IMAGE)/linked 2>$(IMAGE)/link.log || \
	  { cat $(IMAGE)/link.log; exit 1; }
	@strip --strip-all $@

.PHONY: image
