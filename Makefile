# Two commands do everything on a fresh machine with Python 3.11+:  make index PHOTOS=dir   and   make test
PYTHON ?= python3
PHOTOS ?=
DATA   ?= ../shared/data
UV     := $(or $(shell command -v uv),.uv/bin/uv)
RUN    := .venv/bin

.PHONY: index swarm test test-fast chaos lint fmt clean FORCE

index: .venv/.ready
	@test -n "$(PHOTOS)" || { echo "Which folder? As in: make index PHOTOS=~/Pictures"; exit 2; }
	@$(RUN)/faceswarm index "$(PHOTOS)"

# What a master or a worker needs besides.
swarm: .venv/.ready
	$(UV) sync --quiet --frozen --inexact --extra swarm

test: .venv/.ready-dev
	$(RUN)/pytest -n 2 --dist worksteal

test-fast: .venv/.ready-dev
	$(RUN)/pytest -n 2 --dist worksteal -m "not slow"

# The kill loop of tests/swarm, longer: 2,000 photos, another order of deaths.
chaos: .venv/.ready-dev
	FACESWARM_CHAOS_PHOTOS=2000 FACESWARM_CHAOS_SEED=$$$$ $(RUN)/pytest tests/swarm -k whoever_is_killed

lint: .venv/.ready-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports

fmt: .venv/.ready-dev
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

bench-%: .venv/.ready-dev FORCE
	$(RUN)/python -m bench.$* $(DATA)

clean:
	rm -rf .venv .uv

.venv/.ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --frozen --inexact
	@touch $@

.venv/.ready-dev: pyproject.toml uv.lock | $(UV)
	$(UV) sync --quiet --frozen --inexact --all-groups --all-extras
	@touch $@ .venv/.ready

.uv/bin/uv:
	$(PYTHON) -m venv .uv || { $(PYTHON) -m venv --without-pip .uv && $(PYTHON) -m pip --python .uv/bin/python install pip; }
	.uv/bin/python -m pip install --quiet uv

# Where uv is on the PATH there is nothing to make.
%/uv: ;
