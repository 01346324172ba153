# Two commands: `make demo` and `make test`. `make help` lists the rest.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
TORCH  := .venv-torch
CLIENTS := .venv-clients
WEBUI   := .venv-webui
NODE    := .cache/node
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup models demo test test-first test-second e2e-mutants e2e-servers e2e-programs e2e-failures e2e-cases check test-pythons test-torch test-cases test-kubernetes test-clients test-e2e test-long test-web serve doctor drill soak overload attack bench eval eval-speakers train cer docs lock clean \
	docker-build docker-up docker-down docker-drill docker-test docker-pin docker-base docker-bundle

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## virtual environment with the pinned dependencies

$(STAMP): requirements/dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not here: install Python 3.11 or newer, or say make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python has no venv here: apt-get install python3-venv"; exit 1; }
	@echo "-- setting up $(VENV) (pinned, with hashes)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/pip install -q --progress-bar on --require-hashes -r requirements/dev.lock
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

models: setup ## the real weights that the demo and the tests use (about 310 MB, once)
	@$(BIN)/stt-engine model fetch Systran/faster-whisper-base
	@$(BIN)/stt-engine model fetch smollm2-135m-instruct
	@$(BIN)/stt-engine model fetch campplus-zh-en-common

demo: models ## a tour of the promises: healthy, LLM killed, model gone, both
	@$(BIN)/python examples/demo.py

# Two halves beside each other, for two cores; the shorter one is shown when both are done.
HALF := .cache/second-half.log

test: models ## the tests (.venv/bin/pytest runs all of them one by one)
	@mkdir -p $(dir $(HALF))
	@$(MAKE) --no-print-directory -k -j2 test-first test-second; failed=$$?; cat $(HALF); exit $$failed

test-first:
	@$(BIN)/pytest tests/failure tests/api tests/torch --ignore=tests/failure/jobs

test-second:
	@$(BIN)/pytest tests/unit tests/web tests/honesty tests/spec tests/failure/jobs >$(HALF) 2>&1

# The longest first, two at a time; each is shown when all are done.
E2E := e2e-mutants e2e-servers e2e-programs e2e-failures e2e-cases
PARTS := .cache/e2e

test-e2e: models ## the slower tests: whole programs, a real LLM, kept defects, jobs that are killed
	@rm -rf $(PARTS) && mkdir -p $(PARTS)
	@$(MAKE) --no-print-directory -k -j2 $(E2E); failed=$$?; tail -n +1 $(PARTS)/*; exit $$failed

e2e-mutants:
	@$(BIN)/pytest -m slow tests/honesty >$(PARTS)/mutants 2>&1

e2e-servers:
	@$(BIN)/pytest -m "slow and not long" tests/api >$(PARTS)/servers 2>&1

e2e-programs:
	@$(BIN)/pytest -m "slow or not slow" tests/e2e >$(PARTS)/programs 2>&1

e2e-failures:
	@$(BIN)/pytest -m "slow and not long" tests/failure tests/unit >$(PARTS)/failures 2>&1

e2e-cases:
	@$(BIN)/pytest tests/cases >$(PARTS)/cases 2>&1

test-long: models ## more of what slow tests show: servers that are killed in streams and in jobs
	@$(BIN)/pytest -m long tests/api tests/failure/jobs

test-cases: models ## jobs of servers and workers that are killed, stopped and cut off from their database (CASES=--long: 30 kills over 200 cases)
	@$(BIN)/pytest tests/cases $(if $(CASES),-o faulthandler_timeout=7200) $(CASES)

test-kubernetes: setup ## the manifests against the schemas of Kubernetes (120 MB beside the environment)
	@$(BIN)/pip install -q --require-hashes --no-deps --target .cache/kubernetes -r requirements/kubernetes.lock
	@PYTHONPATH=.cache/kubernetes $(BIN)/pytest tests/spec/test_kubernetes.py

test-torch: models ## the tests of the torch backends, where a CPU build of torch can be had
	@$(PYTHON) requirements/torch_build.py $(BIN) $(TORCH)

test-clients: models ## other people's clients on a server of its own (LiteLLM, livekit, pipecat: 1.1 GB; Open WebUI: 0.6 GB; Node's openai; environments of their own)
	@test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/pip install -q --require-hashes --no-deps -r requirements/clients.lock
	@test -x $(WEBUI)/bin/python || $(PYTHON) -m venv $(WEBUI)
	@$(WEBUI)/bin/pip install -q --require-hashes --no-deps -r requirements/open-webui.lock
	@if command -v npm >/dev/null; then mkdir -p $(NODE) && cp requirements/node/*.json $(NODE) \
		&& npm ci --prefix $(NODE) --silent --no-fund --no-audit; else echo "SKIPPED: Node's openai. No npm is here"; fi
	@$(BIN)/pytest tests/api/test_openai_litellm.py tests/api/test_openai_agents.py tests/api/test_openai_schema.py \
		tests/api/test_openai_webui.py tests/api/test_openai_node.py

test-pythons: models ## a fast part of the tests on every Python from 3.11 to 3.14 that is here (PYTHONS=3.13)
	@$(BIN)/python requirements/pythons.py $(PYTHONS)

BROWSER := .cache/browser
PROVIDER := .cache/provider
CHROMIUM ?= $(firstword $(shell command -v chromium chromium-browser google-chrome 2>/dev/null))

test-web: setup ## the page for reviewers in real browsers (needs Chromium; CHROMIUM=program; Firefox where it is)
	@if [ -z "$(CHROMIUM)" ]; then \
		echo "SKIPPED: the tests of the page in a browser. No Chromium is here: apt-get install chromium"; \
	else \
		cmp -s requirements/browser.lock $(BROWSER)/lock || { rm -rf $(BROWSER); \
			$(BIN)/pip install -q --require-hashes --no-deps --target $(BROWSER) -r requirements/browser.lock \
			&& cp requirements/browser.lock $(BROWSER)/lock; } || exit 1; \
		cmp -s tests/browser/provider/package-lock.json $(PROVIDER)/node_modules/lock || { rm -rf $(PROVIDER); \
			mkdir -p $(PROVIDER) && cp tests/browser/provider/package*.json $(PROVIDER) \
			&& (cd $(PROVIDER) && npm ci --silent --no-audit --no-fund) \
			&& cp $(PROVIDER)/package-lock.json $(PROVIDER)/node_modules/lock; } \
			|| echo "SKIPPED: the login at a provider. It takes node, npm and a registry."; \
		CHROMIUM="$(CHROMIUM)" PYTHONPATH=$(BROWSER) PROVIDER=$(PROVIDER) $(BIN)/pytest tests/browser; fi

check: setup ## style, types, import directions, docstrings, dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@$(BIN)/interrogate -q src
	@$(BIN)/deptry .

serve: models ## the server on port 8003
	@$(BIN)/stt-engine serve

doctor: setup ## what works on this machine
	@$(BIN)/stt-engine doctor

drill: models ## break every fallback of a server of its own, for real; each answer is held to its promise
	@$(BIN)/stt-engine drill $(DRILL)

soak: models ## 1,000 calls of every kind while processes are killed (about 25 minutes; SOAK="--calls 100")
	@$(BIN)/python benchmarks/soak.py $(SOAK)

overload: models ## ten times the calls that this machine can take, for a minute
	@$(BIN)/python benchmarks/overload.py $(OVERLOAD)

attack: models ## everything a caller, an LLM or a setting can do to a server, against one of its own (ATTACK="--only llm")
	@$(BIN)/python -m benchmarks.attack $(ATTACK)

eval: setup ## how well the check finds what is there, on labelled passages; masking too (EVAL="--llm URL")
	@$(BIN)/python evaluation/score.py $(EVAL)
	@for lines in evaluation/masking*.toml; do $(BIN)/python evaluation/masking.py $$lines || exit 1; done

eval-speakers: models ## who said it on made mono calls (VOICES=folders of one sub-folder a voice; SPEAKERS="--help")
	@$(BIN)/python -m evaluation.speakers $(VOICES) $(SPEAKERS)

train: setup ## fit the model that weighs what the rules find (scikit-learn beside the environment; ten minutes)
	@$(BIN)/pip install -q --require-hashes --no-deps --target .cache/train -r requirements/train.lock
	@PYTHONPATH=.cache/train $(BIN)/python evaluation/training.py

bench: models ## speed beside other Whisper software (45 minutes; BENCH="--quick" 2; "--help")
	@$(BIN)/python -m benchmarks.speed $(BENCH)

cer: models ## error rate against faster-whisper called directly (AUDIO=folder with manifest.tsv; CER="--kinds clips" is short)
	@$(BIN)/python benchmarks/error_rate.py $(AUDIO) $(CER)

docs: setup ## generated documents: configuration reference, .env.example, the picture of the rooms
	@$(BIN)/python -m stt_tools.reference --write
	@$(BIN)/python docs/draw_rooms.py --write

lock: ## pin the dependencies again (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra server --group dev pyproject.toml -o requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra server pyproject.toml -c requirements/dev.lock -o requirements/runtime.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-deps requirements/torch-backends.in -c requirements/dev.lock -o requirements/torch-backends.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/bootstrap.in -o requirements/bootstrap.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/cuda.in -o requirements/cuda.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/llm-llama.in -c requirements/dev.lock -o requirements/llm-llama.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --excludes requirements/llm-vllm.excludes requirements/llm-vllm.in -o requirements/llm-vllm.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/browser.in -c requirements/dev.lock -o requirements/browser.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/train.in -c requirements/dev.lock -o requirements/train.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/clients.in -o requirements/clients.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --excludes requirements/open-webui.excludes requirements/open-webui.in -o requirements/open-webui.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate requirements/kubernetes.in -c requirements/dev.lock -o requirements/kubernetes.lock

docker-build: ## the container images (VLLM_TARGET=official, wheel or llama)
	@docker/compose build $(SERVICES)

docker-up: ## build and start the containers, wait until they work (SERVICES="api-server ..." for some)
	@docker/compose up $(SERVICES)

docker-down: ## stop and remove the containers
	@docker/compose down

docker-drill: setup ## break the running containers one by one; each answer is held to its promise
	@$(BIN)/stt-engine drill --docker $(DRILL)

docker-test: models ## build the images without a network, run them, break them (needs a Docker engine)
	@if docker info >/dev/null 2>&1; then $(BIN)/pytest -o faulthandler_timeout=2800 $(or $(ONLY),tests/docker); else \
		printf '%s\n' "SKIPPED: the tests of the containers. No Docker engine answers here:" \
			"  start one, and say make docker-test again." "0 passed, 0 failed, 1 skipped"; fi

docker-pin: ## renew the digests of the base images in docker/images.env (needs a registry)
	@docker/pin-images

docker-base: ## the base image from a Debian mirror, where no container registry can be reached (root)
	@docker/make-base-image

docker-bundle: models ## one file under dist/ that installs everything on a machine without internet
	@docker/make-bundle

clean: ## remove environments and caches; models stay
	@rm -rf $(VENV) $(TORCH) $(CLIENTS) $(WEBUI) .venvs .venv-bench .cache/bench
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
