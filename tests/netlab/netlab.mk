# The project's own network lab: tests/netlab/netlab is its command, wanem its WAN.
NETLAB_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/netlab/*.c))
$(B)/tests/netlab/wanem: $(NETLAB_OBJECTS) $(LIBS_base)
	$(CC) $(LDFLAGS) -o $@ $^ $(SYSTEM_base)
PROGRAMS_netlab := $(B)/tests/netlab/wanem
programs: $(PROGRAMS_netlab)
