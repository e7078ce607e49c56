# The simulator: the decisions of many nodes in virtual time.
#   make sim [SIM=elect] [SEEDS=2000] [SEED=N [KEEP=MASK]]   elections under faults
#   make sim-scale, sim-ablate                               1,000 nodes; what each rule is worth
#   make sim-mutate                                          what notices a broken rule of elections
#   make sim SIM=pull [SEEDS=1], SIM=pull/NAME [SEED=N]      whole pulls; SEED=N tells the story
#   make sim SIM=names SEEDS=200                             what a site knows of tags
#   make sim SIM=copies SEEDS=200                            copies of what is popular
#   make sim SIM=partings SEEDS=2000                         last copies, when caches evict at once
#   make sim ARGS='pull nodes=8 wan=50M tracker@4000'         any pull (tests/sim/words.c)
#   make sim-cache [SEEDS=3] [ARGS='nodes=20 zipf=0.7 drift=0.3']   rules of eviction, WAN bytes
SIM ?= elect
SEEDS ?= $(if $(filter elect,$(SIM)),2000,1)
SIM_OBJECTS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/sim/*.c))
$(B)/tests/sim/sim: $(SIM_OBJECTS) $(B)/libcache.a $(LIBS_p2p)
	$(CC) $(LDFLAGS) -o $@ $^ -lm $(SYSTEM_p2p)
PROGRAMS_sim := $(B)/tests/sim/sim
sim: $(PROGRAMS_sim)
	@$(PROGRAMS_sim) $(if $(ARGS),$(ARGS),$(SIM) --seeds $(SEEDS) $(if $(SEED),--seed $(SEED)) $(if $(KEEP),--keep $(KEEP)))
programs: $(PROGRAMS_sim)
sim-cache: $(PROGRAMS_sim)
	@$(PROGRAMS_sim) caches --seeds $(if $(filter-out 2000,$(SEEDS)),$(SEEDS),3) $(if $(SEED),--seed $(SEED)) $(ARGS)
# Breaks the rules of elections one by one: each break must be noticed.
sim-mutate: $(PROGRAMS_sim) $(B)/tests/unit/p2p/test_elect
	@tests/sim/mutate --build $(BUILD)
# Large sites and many of them: a table, and pictures by Debian's Python. QUICK=1: small ones only;
# ONLY='1x1000/*': some; RECORD=1: into tests/sim/results, too.
sim-scale: $(PROGRAMS_sim) $(if $(QUICK),,deps-bench)
	@ONLY='$(ONLY)' RECORD='$(RECORD)' /usr/bin/python3 tests/sim/scale.py $(PROGRAMS_sim) $(BUILD)/sim $(QUICK)
# What each rule of the swarm is worth: one left out at a time.
sim-ablate: $(PROGRAMS_sim)
	@python3 tests/sim/ablate.py $(PROGRAMS_sim)
.PHONY: sim sim-cache sim-mutate sim-scale sim-ablate
