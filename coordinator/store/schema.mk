# The scripts in schema/ as C strings, in the order of their numbers; included by the Makefile.
SCHEMA := $(sort $(wildcard coordinator/store/schema/*.sql))
$(GEN)/schema_scripts.inc: $(SCHEMA) coordinator/store/schema.mk
	@mkdir -p $(GEN)
	@for f in $(SCHEMA); do \
	    printf '{"%s",\n' "$$(basename $$f .sql)"; \
	    sed 's/\\/\\\\/g; s/"/\\"/g; s/^/ "/; s/$$/\\n"/' $$f; \
	    printf '},\n'; \
	done > $@.part && mv $@.part $@
$(B)/coordinator/store/schema.o: $(GEN)/schema_scripts.inc
