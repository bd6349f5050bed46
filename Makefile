# Every target sets up what it needs in .venv, once for each state of setup.cfg, and touches nothing outside.
#   make demo     checkpoint -> ONNX -> plan, mIoU and latency of each, the best file for this machine: no data, no GPU
#   make quick    the tests without compiler, browser, cluster, training and full exports: some minutes
#   make test     all tests: twenty minutes         make check   linter, formatter, types, layers
#   make bench    our CPU engines beside the exporter's graph and PyTorch; CKPT=, DATA= and RES= choose your own
#   make gpu      everything that needs an NVIDIA GPU: tested, measured, recorded; PART=, DATA= (CamVid) and CKPT= choose
#   make interop  every kind of ONNX file in every runtime of docs/runtimes.md, which it writes; DATA=, CONSTANT= a
#                 checkpoint with constant gates: an hour, and 22 GB of environments in .interop; it can be stopped
#   make wheels   the CPU engine's sdist and its wheels for Linux on x86-64 and aarch64, in dist; they need no compiler
#   make lowest   make quick with the lowest versions that setup.cfg allows, in an environment of their own
#   make audit    known faults of the installed packages, by pip-audit, which asks PyPI
.PHONY: demo quick test check gpu bench interop lowest audit wheels

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
NATIVE := .venv/native

SCENES := cgnet_deploy/weights/scenes.pth
CKPT ?= $(SCENES)
DATA ?= scenes
RES ?= 360x480

demo: $(READY)
	mkdir -p demo
	$(BIN)/cgnet-export --ckpt $(SCENES) --fp32 --no-engine --onnx demo/f32.onnx
	$(BIN)/cgnet-export --ckpt $(SCENES) --fp16 --onnx demo/f16.onnx --engine demo/cgnet.plan
	$(BIN)/cgnet-bench --engine $(SCENES) --engine demo/f32.onnx --engine demo/f16.onnx --data scenes --limit 20 \
	    --iterations 30 --duration 1
	$(BIN)/cgnet-tune --ckpt $(SCENES) --data scenes --limit 10 --max-drop 0.5 --calib-images 16 --time 2 --out demo/tuned \
	    --only '(openvino|native).*(f32|int8-(most|all)).onnx'
	@echo 'In a browser, with the camera: $(BIN)/cgnet-export --ckpt $(SCENES) --no-engine --onnx demo/f32.onnx --web demo/page'
	@echo 'demo/cgnet.plan is built, and runs where there is an NVIDIA GPU: $(BIN)/cgnet-bench --engine demo/cgnet.plan'

bench: $(READY) $(NATIVE)
	mkdir -p demo
	$(BIN)/python -m cgnet_deploy.bench.tools.cpu --ckpt $(CKPT) --data $(DATA) --res $(RES) --out demo/bench.json

# A module's tests stay on one worker, whose fixtures they share; what takes longest comes first.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test: $(READY) $(NATIVE)
	$(PYTEST)

quick: $(READY) $(NATIVE)
	$(PYTEST) -m 'not slow'

# Other faults come with the lowest versions than with the newest: an option that they lack, a name that has moved.
LOWEST := .venv/lowest/bin
lowest:
	$(PYTHON) -m venv .venv/lowest
	$(LOWEST)/python -m pip install uv
	$(LOWEST)/uv pip install --python .venv/lowest --resolution lowest-direct -e '.[dev]'
	$(patsubst $(BIN)/%,$(LOWEST)/%,$(PYTEST)) -m 'not slow'

# Not part of check, which needs no network.
audit: $(READY)
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m cgnet_deploy.bench.tools.audit

wheels: $(READY)
	$(BIN)/python -m cgnet_deploy.bench.tools.wheels --out dist

check: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

gpu: $(READY)
	$(BIN)/python -m cgnet_deploy.bench.tools.gpu $(if $(PART),--part $(PART)) $(if $(filter-out scenes,$(DATA)),--data $(DATA)) \
	    $(if $(filter-out $(SCENES),$(CKPT)),--ckpt $(CKPT))

interop: $(READY)
	$(BIN)/python -m cgnet_deploy.bench.tools.interop --data $(DATA) $(if $(CONSTANT),--constant $(CONSTANT)) \
	    --page docs/runtimes.md

# torch comes first and pinned: the version that the exporter's tests were run with, on every machine alike. The stubs ask
# for tensorrt itself, which is not to be had everywhere.
$(READY): setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install torch==2.13.0
	$(BIN)/python -m pip install -e '.[dev]'
	$(BIN)/python -m pip install --no-deps tensorrt-stubs==10.13.0.35.1
	touch $@

# The CPU engine, a package of its own, again whenever its sources change. It wants a C++ compiler; without one its tests
# are skipped, but for CI's.
$(NATIVE): $(READY) $(wildcard engines/native/*.* engines/native/*/*.*)
	$(BIN)/python -m pip install --quiet ./engines/native || { echo 'without a C++ compiler the native engine is left out'; \
	    test -z "$$CI"; }
	touch $@
