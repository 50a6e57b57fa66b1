# `make` lists what there is. Everything happens in .venv, which is made where it is missing and renewed when the requirements change.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# All tests run beside each other: tests/conftest.py says how many workers there are. A few are quicker without.
WORKERS := -n auto --dist worksteal
# Another environment that is active where make was called is none of ours: IPython would warn of it.
unexport VIRTUAL_ENV
# Compiled code is kept, also where the system says not to: pytest compiles all tests.
export PYTHONDONTWRITEBYTECODE :=
# The folder for which .venv was made: its programs name it, so after `mv` it is made anew.
MOVED := $(shell test -s $(READY) && test "`cat $(READY)`" != "$(CURDIR)" && echo moved)
BOOK := settings.ini _quarto.yml $(wildcard nbs/_quarto.yml nbs/*.css nbs/*.ipynb nbs/images/* python_tcp/*.py tools/*.py)

.PHONY: moved help run test quick book site bench figures handout grade export readme clean

help:
	@echo "make run     serve the book on http://127.0.0.1:8080, and a chat on 127.0.0.1:8000 and, for browsers, http://127.0.0.1:8001"
	@echo "             HOST=0.0.0.0: for other machines too, such as those of a class"
	@echo "make test    run all tests; make test ARGS='-k framing' for some; FULL=1 make test cuts nothing short"
	@echo "make quick   run two thirds of the tests, those that take least: no notebooks, no site, no browser, no terminal,"
	@echo "             no answers to exercises, no lab, no attacks, and hardly a command as a program of its own"
	@echo "make book    open the notebooks in JupyterLab"
	@echo "make site    build the tutorial site into _docs/"
	@echo "make bench   measure the chat; ARGS='--help' lists what can be measured"
	@echo "make figures count cells, words, checks and exercises of each chapter, against the aims"
	@echo "make handout write the notebooks without solutions into _handout/, as one zip"
	@echo "make grade   mark notebooks that were handed in: FILES='ann.ipynb FOLDER'; ARGS='--csv FILE'"
	@echo "make export  write python_tcp/ and README.md from the notebooks, and clean them"
	@echo "make clean   remove all that was made, .venv too"

run: _docs/index.html
	@exec $(BIN)/python tools/run.py $(if $(filter command,$(origin HOST)),--host $(HOST)) $(ARGS)

test: $(READY)
	$(BIN)/python -m pytest $(or $(ARGS),$(WORKERS))

quick: $(READY)
	$(BIN)/python -m pytest $(subst auto,4,$(WORKERS)) -m 'not slow and not alone' $(ARGS)

book: $(READY)
	@if test "`id -u`" = 0 && test -z "$(findstring --allow-root,$(ARGS))"; then \
		echo "You are root, and JupyterLab does not start as root unless you say so: make book ARGS=--allow-root" >&2; \
		echo "(Whoever reaches its page can run programs as root. Better: a copy of this folder that belongs to an ordinary user.)" >&2; \
		exit 1; fi
	$(BIN)/jupyter lab --notebook-dir=. $(ARGS) nbs/index.ipynb

site: _docs/index.html

bench: $(READY)
	$(BIN)/python -m bench $(ARGS)

figures: $(READY)
	@$(BIN)/python tools/figures.py $(ARGS)

handout: $(READY)
	@$(BIN)/python tools/handout.py $(ARGS)

grade: $(READY)
	@$(BIN)/python tools/grade.py $(ARGS) $(FILES)

export: $(READY)
	$(BIN)/nbdev_export
	$(BIN)/python tools/terms.py
	$(BIN)/python tools/fill.py
	$(BIN)/python tools/first_cell.py
	$(BIN)/python tools/fold.py
	$(BIN)/nbdev_clean
	$(BIN)/python tools/readme.py
	$(BIN)/python tools/contract.py

readme: $(READY)
	$(BIN)/python tools/readme.py

clean:
	rm -rf .venv _docs _handout _proc build dist *.egg-info .pytest_cache .hypothesis

_docs/index.html: $(READY) $(BOOK)
	$(BIN)/python tools/site.py $(ARGS)

$(READY): settings.ini setup.py pyproject.toml $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "python_tcp needs Python 3.11 or newer; choose one: make PYTHON=python3.12" >&2; exit 1; }
	@$(if $(MOVED),echo "This folder was at `cat $@` before: .venv is made anew.")
	@echo "Installing what the book needs into .venv. The first time this takes a minute or two."
	$(PYTHON) -m venv $(if $(MOVED),--clear) .venv
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@echo "$(CURDIR)" > $@
