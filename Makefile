SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: build install demo demo-gpu demo-train gpu-faults test test-torch lint bench bench-peers bench-checkpoints bench-loaders crash models powercut soak sim planted large fuzz corpora ptx gpu-check screenshots tools servers deploy-check floods image-check images sbom release security clean help

GO ?= go
# What is not built for the race detector is built in one way, so that packages are
# compiled for it once.
PLAIN := CGO_ENABLED=0 $(GO)
# NVML is bound when it is first called, for most machines have none; its header calls
# much of itself deprecated.
export CGO_CFLAGS ?= -g -O2 -Wno-deprecated-declarations
export CGO_LDFLAGS ?= -g -O2 -Wl,-z,lazy
FUZZTIME ?= 2m
FUZZCACHE = $(shell $(GO) env GOCACHE)/fuzz/github.com/ingot-ml/ingot
PREFIX ?= /usr/local
ROUNDS ?= 100
AGENT_ROUNDS ?= 50
GPU_ROUNDS ?= 100
SOAK ?= 10m
SIM ?= 10m
CACHE := $(CURDIR)/.cache
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
GOLANGCI := v2.15.0
WEIGHTS := $(CACHE)/weights/minilm-bf16
PYTHON := $(CACHE)/venv/bin/python
# Packages with tests that the race detector forbids, or makes too slow to run in full;
# the last asks real servers much, and runs without it only.
UNRACED := ./chunker/codec ./nodecache/internal/nodeapi ./registry/internal/doctor
GOFILES = find . -name '*.go' -not -path './.cache/*'

build: ## put the program at bin/ingot
	$(PLAIN) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/ingot ./cmd/ingot

install: build ## install the program, man pages and shell completions below DESTDIR/PREFIX (/usr/local)
	install -D -t $(DESTDIR)$(PREFIX)/bin bin/ingot
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/reference/man/*.1
	share=$(DESTDIR)$(PREFIX)/share; \
	bin/ingot completion bash | install -D -m 644 /dev/stdin $$share/bash-completion/completions/ingot; \
	bin/ingot completion zsh | install -D -m 644 /dev/stdin $$share/zsh/site-functions/_ingot; \
	bin/ingot completion fish | install -D -m 644 /dev/stdin $$share/fish/vendor_completions.d/ingot.fish

demo: build tools ## push and pull a real model and its variants, and print what moved
	bin/ingot demo --base $(WEIGHTS) $(foreach v,layer head vocab reshard finetune,--variant $(WEIGHTS)-$(v))

demo-gpu: build tools ## show two services that take turns on one GPU, or on the fake driver where there is none
	$(GO) run ./integration/gpudemo

demo-train: build tools ## train a small model, and follow it from two other processes while it learns
	$(PYTHON) integration/traindemo/demo.py

# The tests of the whole take longest, and wait much of their time: they run in two
# parts, beside all others. Nobody debugs what is linked here. Code is looked at and
# compiled while tools are fetched.
# A raced program sleeps for a second before it ends, and here thousands end; it need
# not remember far back, nor collect its garbage as often as others.
RACED := GOGC=300 GORACE='atexit_sleep_ms=0 history_size=0' $(GO) test -race -vet=off -ldflags=-w -timeout 30m -json
NODES := ^Test(Agent|GPU)
test: ## check format, vet, and run every test under the race detector
	@unformatted=$$($(GOFILES) -exec gofmt -l {} +); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these files:" $$unformatted; exit 1; fi
	@{ $(PLAIN) vet -trimpath ./... && $(GO) build -race ./...; } & looked=$$!; \
	$(MAKE) --no-print-directory tools servers; wait $$looked
	$(PLAIN) run -trimpath ./integration/summary -again "CGO_ENABLED=1 $(RACED)" \
		<($(RACED) -run '$(NODES)' ./integration) \
		<($(RACED) -skip '$(NODES)' ./integration) \
		<($(RACED) -p 2 $$($(GO) list ./... | grep -v '/integration$$\|/internal/doctor$$') && $(PLAIN) test -trimpath -vet=off -json $(UNRACED))

test-torch: tools ## have PyTorch open and save what was pulled, use an agent's memory, publish and follow (installs 5 GB)
	@integration/env/setup.sh torch
	INGOT_TEST_REQUIRE=python,weights,torch $(GO) test -count=1 -run '^(TestTorch|TestPythonTorch)$$' -v -timeout 30m ./integration

lint: $(CACHE)/bin/golangci-lint-$(GOLANGCI) ## run the linters; check that go.mod is tidy and generated files are current
	$< run ./...
	$(GO) mod tidy -diff
	@state() { git status --porcelain; git diff; }; before=$$(state); $(GO) generate ./...; \
	if [ "$$before" != "$$(state)" ]; then echo "go generate changed files: commit what it made"; exit 1; fi

$(CACHE)/bin/golangci-lint-%:
	GOBIN=$(CACHE)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	mv $(CACHE)/bin/golangci-lint $@

bench: build tools servers ## run the benchmarks of the packages, then those of the whole program
	$(GO) test -run '^$$' -bench . -benchmem -timeout 30m ./...
	$(GO) run ./integration/bench

bench-peers: build ## compare with other stores on the same work (long; builds and installs them)
	$(GO) run ./integration/peers

bench-checkpoints: build tools ## store 100 checkpoints, fine-tunes and real versions here, in borg and as hf_xet does (long; installs borg)
	$(GO) run ./integration/checkpoints

bench-loaders: ## compare with other loaders from disk to memory, as root (installs 5 GB)
	$(GO) run ./integration/loaders

crash: tools ## kill clients, servers and agents in the middle of their work, ROUNDS (100) and AGENT_ROUNDS (50) times
	INGOT_CRASH_ROUNDS=$(ROUNDS) INGOT_CRASH_AGENT_ROUNDS=$(AGENT_ROUNDS) $(GO) test -count=1 -run '^Test(Agent|Checkpoint)?Crash$$' -v -timeout 2h ./integration

models: ## walk through the larger models of the protocols, and print how each mutant fails (minutes)
	INGOT_MODEL=full $(PLAIN) test -trimpath -count=1 -v -timeout 2h ./registry/internal/model

powercut: tools ## cut the power of a registry's disk, ROUNDS (100) times on XFS and until 5,000 pushes are acknowledged; plant mistakes (as root)
	INGOT_TEST_REQUIRE=mount INGOT_POWERCUT_ROUNDS=$(ROUNDS) $(GO) test -count=1 -v -timeout 4h ./integration/powercut

soak: tools servers ## work on replicas (STORE=s3) or a folder (STORE=local) while everything fails, for SOAK (10m); SEED repeats
	INGOT_SOAK=$(SOAK) INGOT_SOAK_SEED=$(SEED) $(GO) test -count=1 -run '^TestSoak$(if $(filter local,$(STORE)),Local,S3)$$' -v -timeout 100h ./integration/soak

floods: build ## flood a registry in every way at once while somebody pulls, and measure
	INGOT_FLOODS=1 $(PLAIN) test -trimpath -count=1 -run '^TestFloods$$' -v -timeout 10m ./integration/floods

sim: ## simulate replicas over stores that fail, for SIM (10m), from seed SEED (the time of day) on
	INGOT_SIM_TIME=$(SIM) INGOT_SIM_FROM=$(or $(SEED),$(shell date +%s)000000) $(GO) test -count=1 -run '^TestSimulation$$' -v -timeout 100h ./registry/internal/simtest

planted: ## plant mistakes into the code and want a test to catch each; PLANTED=WORD for those of that name
	$(GO) run ./integration/planted $(PLANTED)

large: tools servers ## push and pull 100,000 tiny files and a sparse file of 100 GiB, lease a model of 1 GiB and a thousand small ones (long)
	INGOT_LARGE=1 $(GO) test -count=1 -run '^Test(TinyFiles|SparseFile|SyntheticFamily|Checkpoints|Finetunes|AgentLease|AgentVariants|AgentZipf|OperationCounts|GPUCheckFake|GPUDemoFake|Doctor|StoreClock)$$' -v -timeout 2h ./integration
	INGOT_LARGE=1 $(GO) test -count=1 -run '^Test(ExamineStore|VersityRegisters)$$' -v -timeout 2h ./registry ./registry/internal/s3

fuzz: ## run every fuzz target for FUZZTIME (2m) each, from the corpora that are kept
	@for corpus in $$(find . -path '*/testdata/corpus.tar.gz'); do \
		cache=$(FUZZCACHE)/$${corpus%/testdata/*}; mkdir -p "$$cache"; tar -xzf "$$corpus" -C "$$cache"; \
	done
	@grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do \
		echo "$${file%/*} $${func#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${func#func }$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x "$${file%/*}" </dev/null; \
	done

corpora: ## keep what fuzzing has found as testdata/corpus.tar.gz of each package that reads untrusted bytes
	@for dir in chunker/codec chunker/format cmd/ingot registry/manifest registry/internal/placement; do \
		tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C $(FUZZCACHE)/$$dir -c . | gzip -9n >$$dir/testdata/corpus.tar.gz; \
	done

ptx: ## compile the GPU kernels to the PTX that is committed (installs clang-19)
	@command -v clang-19 >/dev/null || { . integration/env/apt.sh; apt clang-19; }
	cuda/ptx/kernels/make.sh clang-19 "$$PWD/cuda/ptx/kernels/kernels.ptx"

gpu-faults: tools ## fail every call of the fake driver in turn, in every way, and kill movers GPU_ROUNDS (100) times
	INGOT_GPU_FAULTS=1000000 INGOT_CRASH_GPU_ROUNDS=$(GPU_ROUNDS) $(GO) test -race -count=1 -run '^TestGPU(Faults|StartFaults|MoverKilled)Fake$$' -v -timeout 2h ./integration
	INGOT_MOVER_SWEEP=all $(GO) test -race -count=1 -run '^TestSweepFake$$' -v -timeout 2h ./nodecache/internal/mover

gpu-check: ## build dist/ingot-gpu-check.tar.gz, which checks and measures the GPU tier on a machine with a GPU
	integration/gpucheck/bundle.sh '$(VERSION)'

deploy-check: tools servers ## hold docker/ and the release to what reads them (builds Helm, goreleaser; minutes); UPDATE=1 renders the chart anew
	@integration/env/deploy.sh helm goreleaser cyclonedx-gomod compose
	INGOT_TEST_REQUIRE=deploy,systemd,s3,helm,goreleaser,cyclonedx-gomod,compose $(PLAIN) test -trimpath -count=1 -timeout 20m -v ./integration/deploy $(if $(UPDATE),-update)

image-check: ## carry out the steps of docker/Dockerfile in folders, and run what comes out (as root; installs debootstrap; minutes)
	@integration/env/images.sh

images: ## build the images with docker, as ingot:VERSION and ingot-agent:VERSION
	docker build -f docker/Dockerfile --target registry --build-arg VERSION=$(VERSION) -t ingot:$(VERSION) .
	docker build -f docker/Dockerfile --target agent --build-arg VERSION=$(VERSION) -t ingot-agent:$(VERSION) .

sbom: build ## tell what the program is made of, as CycloneDX, in dist/ingot.cdx.json
	@integration/env/deploy.sh cyclonedx-gomod
	@mkdir -p dist
	.cache/bin/cyclonedx-gomod-* bin -json -output dist/ingot.cdx.json bin/ingot

release: ## build what a release has, in dist, without publishing it
	@integration/env/deploy.sh goreleaser cyclonedx-gomod
	@mkdir -p $(CACHE)/release && ln -sf $(CACHE)/bin/cyclonedx-gomod-* $(CACHE)/release/cyclonedx-gomod
	PATH="$(CACHE)/release:$$PATH" .cache/bin/goreleaser-* release --snapshot --clean --skip publish

security: ## look for mistakes with gosec, and for known ones in what we use with govulncheck
	@integration/env/security.sh

screenshots: ## take the pictures of the page that docs/images has (installs Debian's Chromium and its letters)
	@integration/env/chromium.sh letters
	INGOT_SCREENSHOTS='$(CURDIR)/docs/images' INGOT_TEST_REQUIRE=chromium $(GO) test -count=1 -run '^TestPictures$$' -v -timeout 20m ./integration/page

tools: ## install a C compiler, a browser, the Python and JavaScript environments, fetch the real weights
	@integration/env/setup.sh
	@for name in api hub0 hub1 hub2 deploy; do integration/env/setup.sh $$name; done
	@integration/env/js.sh
	@integration/env/chromium.sh
	@$(PYTHON) integration/env/weights.py

servers: ## build the S3 servers that tests run against
	@integration/env/servers.sh

clean: ## remove what was built and fetched
	rm -rf bin dist .cache

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14
