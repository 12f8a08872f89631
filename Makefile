# Everything is in packaging/setup_env.py, which needs nothing but Python: it also runs where there is no make.
PYTHON ?= python3
ARGS ?=

.PHONY: run test lint bench trust
run test lint bench trust:
	@$(PYTHON) packaging/setup_env.py $@ $(ARGS)
