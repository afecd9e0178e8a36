# make help says what there is to make.
#
# A program is its folder's main.c and what lies below it in the layers (design: main -> ... -> common).
# Objects lie in build/FLAVOUR/, one flavour for each SAN; a change of flags rebuilds all. V=1 shows the commands.

SAN    ?=
V      ?=
Q      := $(if $(V),,@)
B      := build/$(or $(SAN),release)
PREFIX ?= /usr/local
CFLAGS ?= -O2 -g
WARN   ?= -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla \
          -Wpointer-arith -Wwrite-strings -Wformat=2 -fno-common

SAN_asan  := -fsanitize=address -fno-omit-frame-pointer
SAN_ubsan := -fsanitize=undefined -fno-sanitize-recover=all
SAN_tsan  := -fsanitize=thread
SANF      := $(if $(SAN),$(or $(SAN_$(SAN)),$(error SAN=$(SAN) is unknown: asan, ubsan or tsan)))

PROTOC_C    ?= protoc-c
ONNX_PROTO  := /usr/include/onnx/onnx.proto
GEN         := $(B)/gen
ALL_CFLAGS  := -std=c11 -D_GNU_SOURCE -I. -I$(GEN) -isystem /usr/include/postgresql $(WARN) $(SANF) $(CFLAGS) -fopenmp-simd -fno-math-errno
ALL_LDFLAGS := $(SANF) $(LDFLAGS)

LIBS_COMMON := -lprotobuf-c -lsodium -lm -lpthread
LIBS_PROTO  := -lmsgpackc
LIBS_WORKER := -ldnnl -lopenblas -lgomp -lczmq -lzmq -ljpeg -lpng
LIBS_COORD  := -lopenblas -lczmq -lzmq -lpq -lmicrohttpd -ljansson
LIBS_CLI    := -lcurl -lcyaml -lyaml -ljansson

COMMON := $(wildcard common/*/*.c) $(GEN)/onnx/onnx.pb-c.c
PROTO  := $(wildcard proto/*.c)
WORKER := $(filter-out worker/main.c,$(wildcard worker/*.c worker/*/*.c))
CLI    := $(filter-out coordinator/cli/main.c,$(wildcard coordinator/cli/*.c))
COORD  := $(filter-out coordinator/main.c,$(wildcard coordinator/*.c coordinator/policy/*.c coordinator/store/*.c coordinator/http/*.c))
SPEC   := $(wildcard coordinator/spec*.c) coordinator/policy/names.c
UNIT   := $(wildcard tests/unit/*.c)
MAINS  := coordinator/main.c worker/main.c coordinator/cli/main.c
obj     = $(patsubst %.c,$(B)/%.o,$(patsubst $(B)/%,%,$(1)))

PROGRAMS := $(B)/espalier $(B)/espalierd $(B)/espalier-worker

all: needs $(PROGRAMS) ## build the three programs (default)
include coordinator/store/schema.mk
include tests/tests.mk

needs-test: KINDS := build test
needs needs-test: # names what is missing; installs nothing
	@m=$$(sh deploy/missing $(or $(KINDS),build)); [ -z "$$m" ] || { echo "missing: $$m"; echo "as root: apt-get install -y --no-install-recommends $$m"; exit 1; }

demo: needs $(PROGRAMS) ## train a small model, search with two workers, show the front
	@B=$(B) sh deploy/walkthrough

install: $(PROGRAMS) ## into $(DESTDIR)$(PREFIX)/bin, examples into share/espalier
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/espalier
	install $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 deploy/examples/*.yaml $(DESTDIR)$(PREFIX)/share/espalier

$(B)/espalierd: $(call obj,coordinator/main.c $(COORD) $(PROTO) $(COMMON))
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_COORD) $(LIBS_CLI) $(LIBS_PROTO) $(LIBS_COMMON)
$(B)/espalier: $(call obj,coordinator/cli/main.c $(CLI) $(SPEC) $(PROTO) $(COMMON))
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_CLI) $(LIBS_PROTO) $(LIBS_COMMON)
$(B)/espalier-worker: $(call obj,worker/main.c $(WORKER) $(PROTO) $(COMMON))
	@echo "  LD $@"
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_WORKER) $(LIBS_PROTO) $(LIBS_COMMON)

$(B)/%.o: %.c $(B)/flags | $(GEN)/onnx/onnx.pb-c.h
	@mkdir -p $(@D)
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gen/%.o: $(GEN)/%.c $(B)/flags
	@echo "  CC $<"
	$(Q)$(CC) $(ALL_CFLAGS) -w -MMD -MP -c -o $@ $<
$(GEN)/onnx/onnx.pb-c.c $(GEN)/onnx/onnx.pb-c.h &: $(ONNX_PROTO)
	@mkdir -p $(GEN)
	@echo "  PROTOC $<"
	$(Q)$(PROTOC_C) --proto_path=/usr/include --c_out=$(GEN) $<
-include $(shell find $(B) -name '*.d' 2>/dev/null)

$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS)' > $@
FORCE:

clean: ## remove everything that was built
	rm -rf build
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile tests/tests.mk | expand -t 20
.PHONY: all needs needs-test demo install clean help FORCE
