# The project's own network lab: tests/netlab/netlab is its command, wanem its WAN.
NETLAB_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/netlab/*.c))
$(B)/tests/netlab/wanem: $(NETLAB_OBJECTS) $(LIBS_base)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_base)
PROGRAMS_netlab := $(B)/tests/netlab/wanem
programs: $(PROGRAMS_netlab)

# The swarm's scenarios at full size and the table of what they measured: make lab [ONLY='cold*'].
lab: deps-build-demo
	@$(MAKE) --no-print-directory -s all $(PROGRAMS_netlab)
	@PEERSYNC=$(abspath $(BUILD))/peersync BUILD=$(abspath $(BUILD)) tests/netlab/lab.sh $(ONLY)
.PHONY: lab
