# What runs the tests; included by the Makefile.

# One program a file: tests/unit/NAME.c, on Check, linked with everything but the mains.
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT))
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(call obj,$(WORKER) $(COORD) $(PROTO) $(COMMON))
	$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcheck -lsubunit -lrt $(LIBS_WORKER) $(LIBS_COORD) $(LIBS_CLI) $(LIBS_PROTO) $(LIBS_COMMON)

check-unit: $(UNIT_BINS) ## unit tests; T=name runs one file's
	@for t in $(if $(T),$(B)/tests/unit/$(T),$(UNIT_BINS)); do $$t || exit 1; done
.PHONY: check-unit
