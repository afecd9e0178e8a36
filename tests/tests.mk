# What checks and measures espalier; included by the Makefile.

# One program a file: tests/unit/NAME.c, on Check, linked with everything but the mains.
UNIT_BINS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT))
EVERYTHING = $(call obj,$(WORKER) $(COORD) $(CLI) $(PROTO) $(COMMON))
ALL_LIBS  := $(sort $(LIBS_WORKER) $(LIBS_COORD) $(LIBS_CLI) $(LIBS_PROTO)) $(LIBS_COMMON)
$(B)/tests/unit/%: $(B)/tests/unit/%.o $(EVERYTHING)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcheck -lsubunit -lrt $(ALL_LIBS)

# Programs that tests and benchmarks use.
TOOL_BINS := $(patsubst tests/tools/%.c,$(B)/tests/tools/%,$(wildcard tests/tools/*.c))
$(B)/tests/tools/%: $(B)/tests/tools/%.o $(EVERYTHING)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(ALL_LIBS)

test: needs-test check $(PROGRAMS) $(UNIT_BINS) $(TOOL_BINS) ## all tests: structure, units, integration, fuzzers for a few seconds
	@B=$(B) sh tests/run $(if $(T),$(T),unit integration fuzz)
check-unit: $(UNIT_BINS) ## unit tests alone; T=NAME for one file's
	@B=$(B) sh tests/run $(if $(T),$(T),unit)

# --- structure ---
HEADERS := $(filter-out $(GEN)/%,$(wildcard common/*/*.h proto/*.h worker/*.h worker/*/*.h coordinator/*.h coordinator/*/*.h tests/*/*.h))
check: check-headers check-layers ## headers compile on their own, layers hold, includes have no cycle
check-headers: $(patsubst %.h,$(B)/%.hdr,$(HEADERS))
$(B)/%.hdr: %.h $(B)/flags | $(GEN)/onnx/onnx.pb-c.h
	@mkdir -p $(@D)
	@printf '#include "%s"\ntypedef int not_empty;\n' $< | $(CC) $(ALL_CFLAGS) -Wno-unused-function -MMD -MP -MT $@ -MF $@.d -fsyntax-only -xc - && touch $@
check-layers:
	@sh tests/layers

# --- fuzzers: clang only ---
FUZZ_NAMES := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZ_BINS  := $(patsubst %,build/fuzz/%,$(FUZZ_NAMES))
FUZZ_SRC   := $(wildcard common/*/*.c) $(PROTO) $(SPEC) \
              $(wildcard coordinator/http/submit.c) $(addprefix worker/compress/,profile_file.c gram_list.c stats_list.c) \
              $(addprefix worker/train/,checkpoint.c jpeg.c png.c rows.c) \
              build/release/gen/onnx/onnx.pb-c.c
FUZZ_FLAGS := -std=c11 -D_GNU_SOURCE -I. -Ibuild/release/gen -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined
build/fuzz/%: tests/fuzz/%.c $(FUZZ_SRC) $(HEADERS)
	@mkdir -p build/fuzz
	@echo "  FUZZ $@"
	$(Q)clang $(FUZZ_FLAGS) -o $@ $< $(FUZZ_SRC) -lprotobuf-c -lsodium -lmsgpackc -lcyaml -lyaml -ljansson -ljpeg -lpng -lm
SECONDS ?= 60
fuzz: $(GEN)/onnx/onnx.pb-c.c $(FUZZ_BINS) ## run every fuzzer for SECONDS=60 each
	@B=$(B) FUZZ_SECONDS=$(SECONDS) sh tests/run fuzz

bench: $(PROGRAMS) bench-programs ## measure against PyTorch, onnxruntime and others where they are installed
	@B=$(B) sh tests/bench/run
BENCH_BINS := $(patsubst tests/bench/%.c,$(B)/tests/bench/%,$(wildcard tests/bench/*.c tests/bench/*/*.c))
bench-programs: $(BENCH_BINS)
$(B)/tests/bench/%: $(B)/tests/bench/%.o $(EVERYTHING)
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ -lcheck -lsubunit -lrt $(ALL_LIBS)

# Objects of tests stay: they aren't intermediate.
.SECONDARY:
.PHONY: test check check-unit check-headers check-layers fuzz bench bench-programs
