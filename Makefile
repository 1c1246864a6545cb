# What a person or a machine does here. `make help` lists it.

GO            ?= go
BENCHTIME     ?= 1s
FUZZTIME      ?= 20s
DEMO          ?= 200
GOLANGCI_LINT := v2.15.0
GOVULNCHECK   := v1.9.0
CYCLONEDX     := v1.10.0

# The cache of test results does not know of brokers and browsers, so where the result counts nothing comes from it.
TESTFLAGS ?= $(if $(CI),-count=1)

LINTER   := .bin/golangci-lint-$(GOLANGCI_LINT)
VULN     := .bin/govulncheck-$(GOVULNCHECK)
SBOM     := .bin/cyclonedx-gomod-$(CYCLONEDX)
PAGE     := sse/dashboard
OUTLINES := $(PAGE)/dist/outlines.json
APP      := $(PAGE)/dist/app/index.html
MODULES  := $(PAGE)/node_modules/.package-lock.json

# Debian keeps mosquitto where only root looks.
export PATH := $(PATH):/usr/sbin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build assets test soak lint lint-page lint-deploy vuln release release-check format fuzz bench bench-small bench-go clean go deps

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build and run the gateway with a demo fleet (DEMO=200 devices)
	bin/gateway --demo $(DEMO)

build: go assets ## build bin/gateway and bin/simulator
	$(GO) build -o bin/gateway ./gateway
	$(GO) build -o bin/simulator ./simulator

assets: ## build the page, where npm is there
	@if ! command -v npm >/dev/null; then \
		echo "npm is not installed: the gateway comes with its simple page (sudo apt-get install npm)"; \
	else \
		$(MAKE) --no-print-directory $(OUTLINES) $(APP) || \
		echo "npm could not build the page: the gateway comes with its simple page"; \
	fi

$(MODULES): $(wildcard $(PAGE)/package*.json $(PAGE)/*/package.json)
	cd $(PAGE) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(OUTLINES): $(MODULES) $(wildcard $(PAGE)/scripts/*)
	cd $(PAGE) && node scripts/outlines.cjs dist
	@touch $@

$(APP): $(MODULES) $(shell find $(PAGE)/app $(PAGE)/client -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
	cd $(PAGE) && npm run --silent build --workspace app -- --logLevel warn
	@touch $@

test: go deps assets ## every test with the race detector; installs what it needs, or says what is missing
	$(GO) test -race -timeout 15m $(TESTFLAGS) ./...
	$(GO) test $(TESTFLAGS) -run TestDamageAnywhereIsFound ./devices/store/embedded # what the race detector does not let a process survive

soak: go deps ## the long forms of the tests that kill and restart things: 200 kills and more, and every scenario in full; two hours
	FLEETCAST_SOAK=1 $(GO) test -race -count=1 -v -timeout 150m -p 1 ./simulator/scenario ./simulator/play ./bridge/diskbus ./bridge/redisbus ./devices/store/...
	FLEETCAST_SOAK=1 $(GO) test -count=1 -v -timeout 30m -run TestAppCarries ./sse/dashboard
	FLEETCAST_SOAK=1 $(GO) test -race -count=1 -v -run TestTheShardsOfTwoMachines ./simulator # in network namespaces, which root may make
	cd deploy/lint/traefik && $(GO) test -count=1 ./... # compiling Traefik's types takes minutes
	FLEETCAST_MODEL_SEEDS=24 $(GO) test -count=1 -timeout 30m -run TestEveryViewer ./sse/hub
	FLEETCAST_SOAK=1 $(GO) test -count=1 -v ./devices/store/embedded # damage of all kinds, which the race detector does not let a process survive

deps:
	@.ci/deps

lint: go lint-page $(LINTER) ## the linters, at their pinned versions; building them the first time takes minutes
	$(LINTER) run ./...

lint-page: ## types and the linter of the page, where npm is there
	@if ! command -v npm >/dev/null; then \
		echo "npm is not installed: the page is not looked at"; \
		test -z "$(CI)"; \
	else \
		$(MAKE) --no-print-directory $(MODULES) && cd $(PAGE) && npm run --silent lint && npm run --silent check; \
	fi

lint-deploy: go ## the chart rendered by Helm, the compose file and the Dockerfile read by what reads them; building these takes minutes
	cd deploy/lint && $(GO) test $(TESTFLAGS) ./...

vuln: go $(VULN) ## known vulnerabilities in what the programs call; needs vuln.go.dev, and says where it cannot be reached
	@.ci/vuln $(VULN)

release: go assets $(SBOM) ## static programs for Linux and macOS, their lists of parts and SHA256SUMS, in dist/ (TARGETS=linux/amd64)
	GO=$(GO) SBOM=$(CURDIR)/$(SBOM) .ci/release dist $(TARGETS)

release-check: go $(SBOM) ## build a release twice, at different places, and compare
	GO=$(GO) SBOM=$(CURDIR)/$(SBOM) .ci/release-check

format: go $(LINTER) ## format as the linter wants it
	$(LINTER) fmt ./...

$(LINTER):
	GOBIN=$(CURDIR)/.bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	mv .bin/golangci-lint $@

$(VULN):
	GOBIN=$(CURDIR)/.bin $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	mv .bin/govulncheck $@

$(SBOM):
	GOBIN=$(CURDIR)/.bin $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX)
	mv .bin/cyclonedx-gomod $@

fuzz: go ## run each fuzz target for a short time (FUZZTIME=20s)
	@GO=$(GO) .ci/fuzz $(FUZZTIME)

bench: build ## what it costs beside floor programs, in 45 minutes; the report is bench-out/report.md
	bin/simulator bench all

bench-small: go ## the same in small within a minute: it says that the benches run, and ratios
	$(GO) build -o bin/gateway ./gateway
	$(GO) build -o bin/simulator ./simulator
	bin/simulator bench all --small --only fanout,ingest,path,gzip,cluster

bench-go: go ## the benchmarks of the packages (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

clean: ## remove what was built
	rm -rf bin .bin dist bench-out $(PAGE)/node_modules $(PAGE)/*/node_modules $(PAGE)/dist/*

go:
	@command -v $(GO) >/dev/null || { echo "Go is not installed: version $$(awk '/^go / { print $$2 }' go.mod) or newer from https://go.dev/dl/" >&2; exit 1; }
