PYTHON ?= python3
VENV := .venv
NLAB := $(VENV)/bin/nlab
WORKERS ?= 3

# pip compiles file by file, and packages' own tests too, for two minutes; all cores compile the rest in half a minute.
PIP = $(VENV)/bin/pip install --quiet --disable-pip-version-check --no-compile
COMPILE = $(VENV)/bin/python -m compileall -q -j 0 -x '/tests?/' $(VENV)/lib > /dev/null || true

# A .venv whose Python is gone, too old, or not the one that was asked for by `make PYTHON=…`, is made anew.
VERSION = import sys; print("%d.%d" % sys.version_info[:2] if sys.version_info >= (3, 11) else "old")
VENV_VERSION = $(VENV)/bin/python -c '$(VERSION)' 2> /dev/null
THERE := $(shell $(VENV_VERSION))
ASKED := $(or $(if $(filter file,$(origin PYTHON)),$(filter-out old,$(THERE))),$(shell $(PYTHON) -c '$(VERSION)'))
ifneq ($(THERE),$(ASKED))
$(shell rm -f $(VENV)/.installed $(VENV)/.installed-dev)
endif
MAKE_VENV = @test "$$($(VENV_VERSION))" = "$(ASKED)" || { rm -rf $(VENV) && $(PYTHON) -m venv $(VENV); }

.PHONY: run test test-slow check bench bench-scoring bench-busy bench-estimates bench-cluster bench-umap bench-umap-full bench-full bench-full-mlp bench-wide bench-embeddings same-predictions audit methods controls controls-faults soak resources simulate calibrate versions docs docs-pages clean

run: $(VENV)/.installed
	$(NLAB) run configs/quickstart.yaml

# WORKERS: processes that share the tests, each with one thread. One more than cores: tests wait for processes now and then.
test: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal

# Tests that `make test` leaves out: each takes five seconds of the processor or more, and quicker ones watch the same part. Half an hour.
test-slow: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist worksteal -m slow

check: $(VENV)/.installed-dev
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m tests.house_rules & rules=$$!; $(VENV)/bin/mypy && wait $$rules

bench: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench --ignore=tests/bench/test_audits.py --ignore=tests/bench/test_umap_full.py --ignore=tests/bench/test_full_mlp.py --ignore=tests/bench/test_busy.py --ignore=tests/bench/test_twenty_estimates.py --ignore=tests/bench/test_wide.py --ignore=tests/bench/test_embeddings.py --ignore=tests/bench/test_cluster.py

# Scoring beside numerai-tools, in CPU seconds of one thread each: two minutes.
bench-scoring: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_scoring.py

# The tiny quickstart beside eight busy processes: by default, with one thread, and with threads that spin; minutes.
bench-busy: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_busy.py

# Estimates of memory and disk beside what twenty-six runs of all families took: a quarter of an hour of one core.
bench-estimates: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_twenty_estimates.py

# Trials on one and two workers, a training in two processes, and schedulers with up to 100 pretended workers: minutes.
bench-cluster: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_cluster.py

# Parametric UMAP beside umap-learn, 50,000 landmarks: most of an hour, nearly all of it umap-learn's.
bench-umap: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_umap.py

# PCA and PaCMAP (`pip install pacmap faiss-cpu`) beside parametric UMAP, 20,000 rows to 12 columns: minutes.
bench-embeddings: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_embeddings.py

# Parametric UMAP on the synthetic tournament at its full size, to 100 columns: minutes, and gigabytes of disk.
bench-umap-full: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_umap_full.py

# The tournament's full width, 1.5 million rows × 3,555: store, boosting, generators and scores beside their estimates. An hour on
# one core, 8 GB of disk, 9 GB of memory. NLAB_BENCH_SHARE=10 takes a tenth of the eras; NLAB_BENCH_CACHE=FOLDER keeps the data.
bench-wide: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_wide.py

# Predictions and scores of every shipped config, tiny, in the working tree and at the commit BASE: equal to the byte? KEEP=FOLDER
# keeps a commit's results, ONLY="NAME …" runs some configs.
same-predictions: $(VENV)/.installed-dev
	$(VENV)/bin/python tests/bench/same_predictions.py $(or $(BASE),HEAD) $(if $(KEEP),--keep $(KEEP)) $(if $(ONLY),--only $(ONLY))

# The synthetic tournament at its full size, 6.9 million rows × 780, XGBoost on every training row: minutes and gigabytes.
bench-full: $(VENV)/.installed
	$(NLAB) run tests/bench/full.yaml

# The model mlp on 2.7 million rows × 780, six epochs: most of an hour, and 2.1 GB of disk. NLAB_BENCH_SHARE=50 for a fiftieth of it.
bench-full-mlp: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_full_mlp.py

# `nlab audit` of every shipped config, with fewer trees and steps: most of an hour.
audit: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s --override-ini addopts= tests/bench/test_audits.py

# Every generator and augmenter against the baseline and its placebo, in three worlds as hard as the real tournament: hours. With
# CSI500=FILE the methods that pass their control on a real weekly panel.
methods: $(VENV)/.installed
	$(NLAB) methods configs/methods.yaml --worlds 3
ifdef CSI500
	$(NLAB) methods configs/methods_csi500.yaml --set data.path=$(CSI500)
endif

# Every method in the synthetic worlds where it must help and where none may: half an hour on two cores. Writes configs/controls.md.
controls: $(VENV)/.installed
	$(NLAB) controls --out configs/controls.md

# Broken methods at the full size of the controls, each of which must miss its own: minutes.
controls-faults: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s -m controls tests/studies

# Thirty kills of a run of each method, 100,000 mutated files for each reader, 500 runs in one cache, attacks and a saboteur: hours,
# in parts that end within twenty minutes. PART="data-files kills" for some of them; SOAK=FOLDER keeps how far each is, and the next
# `make soak` goes on from there.
soak: $(VENV)/.installed-dev
	$(if $(SOAK),NLAB_SOAK=$(SOAK)) $(VENV)/bin/python -m tests.soak $(PART)

# A thousand stages under a limit of 256 descriptors, twenty runs in one process, a list of ten thousand cache entries: minutes.
resources: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m resources tests/storage

# What the statistics promise, on simulated tournaments and on 100 real runs: most of an hour. SIMULATED=FOLDER keeps the runs' scores.
simulate: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s -m simulate tests/simulate

# The default synthetic world beside published facts of the real tournament: minutes.
calibrate: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -s -m calibrate tests/calibrate

# The package installed by pip under every other Python 3.12 and 3.13 that is here, a tiny run, and a part of the tests: minutes each.
versions: $(VENV)/.installed-dev
	$(VENV)/bin/python tests/versions.py

# The manual as a site in build/site.
docs: $(VENV)/.installed
	$(PIP) -e '.[docs]'
	$(VENV)/bin/mkdocs build --quiet --strict --config-file numerai_lab/docs/site/mkdocs.yml

# The generated sections of the manual, from the registries and the commands.
docs-pages: $(VENV)/.installed
	$(NLAB) docs --generate

$(VENV)/.installed: pyproject.toml
	$(MAKE_VENV)
	$(PIP) -e .
	$(COMPILE)
	$(NLAB) schema > configs/schema.json
	touch $@

$(VENV)/.installed-dev: pyproject.toml
	$(MAKE_VENV)
	$(PIP) -e '.[dev]'
	$(COMPILE)
	$(NLAB) schema > configs/schema.json
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
