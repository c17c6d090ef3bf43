# Every script of scripts/ as a target: `make test ARGS="tests/core -x"` runs ./scripts/test tests/core -x.
FOLDERS := $(notdir $(patsubst %/,%,$(wildcard scripts/*/)))
SCRIPTS := $(filter-out %.py %.sh $(FOLDERS),$(notdir $(wildcard scripts/*)))

.DEFAULT_GOAL := help
.PHONY: help $(SCRIPTS)

help:
	@echo 'make NAME ARGS="..." runs one of these:'
	@for script in $(sort $(SCRIPTS)); do ./scripts/$$script --help | head -n 1 | sed 's/^usage: scripts\//  /'; done

$(SCRIPTS):
	./scripts/$@ $(ARGS)
