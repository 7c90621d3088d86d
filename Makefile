# make train   set everything up, then train on Space Invaders; ARGS="..." goes to the command
# make test    set everything up, then check the format, the style, the types, and run the tests
# make install, make install-test, make format, make clean
#
# PYTHON=... chooses the interpreter, EXTRAS=... the extras of setup.py (by default those of the
# toolbox, and cuda if there is a GPU).

VENV := .venv
EXTRAS ?= hub,plot,report,tune,video$(if $(shell command -v nvidia-smi),$(comma)cuda)
comma := ,

IS_SUPPORTED := import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))
CANDIDATES := python3.11 python3.10 python3
PYTHON ?= $(or $(shell for python in $(CANDIDATES); do \
	$$python -c '$(IS_SUPPORTED)' 2>/dev/null && echo $$python && break; done),python3)

.PHONY: train test install install-test format clean

train: install
	$(VENV)/bin/python launch/train.py --gin_file=space_invaders.gin $(ARGS)

test: install-test
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/pyright --pythonpath $(VENV)/bin/python
	$(VENV)/bin/python -m pytest --numprocesses=logical --maxprocesses=4 --dist=worksteal $(ARGS)

install: $(VENV)/installed
install-test: $(VENV)/installed-test

$(VENV)/installed: WANTED = $(EXTRAS)
$(VENV)/installed-test: WANTED = test$(if $(EXTRAS),$(comma)$(EXTRAS))

$(VENV)/installed $(VENV)/installed-test: setup.py constraints.txt
	@uname -sm | grep -qx 'Linux x86_64' || { \
		echo "atari-dqn needs Linux on x86-64 (Reverb has no other wheels); this is $$(uname -sm)."; \
		exit 1; } >&2
	@$(PYTHON) -c '$(IS_SUPPORTED)' 2>/dev/null || { \
		echo "atari-dqn needs Python 3.10 or 3.11 (TensorFlow 2.15 and Reverb 0.14 have no wheels" \
			"for others); found $$($(PYTHON) --version 2>&1 | head -n 1)." \
			"Set PYTHON=/path/to/python3.11."; \
		exit 1; } >&2
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --constraint constraints.txt \
		--editable '.$(if $(WANTED),[$(WANTED)])'
	touch $@

format:
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .hypothesis .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
