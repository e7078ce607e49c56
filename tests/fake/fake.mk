# What scenarios load into the node; only the release build is used.
$(B)/tests/fake/wallclock.so: tests/fake/wallclock.c
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(WARN) -O2 -fPIC -shared -o $@ $<
programs: $(if $(filter release,$(MODE)),$(B)/tests/fake/wallclock.so)
