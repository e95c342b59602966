# Copyright (c) 2026, hearth.gpu_host maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Every target forwards to a script in tools/; there is no logic here.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

# Downloads and built images; keyed by what went into them, shared by all clones of a user.
export HEARTH_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hearth-gpu-host
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Further arguments for the target's command, for example ARGS='-k iommu' or ARGS='-e name=value'.
ARGS ?=
# The lab host of `make lab-ssh`; the first one when empty.
HOST ?=

##@ Start here
.PHONY: help
help: ## show this list
	@awk -f tools/help.awk $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install .venv from the lock files and the system packages of bindep.txt
	@tools/packages
	@tools/venv
	@tools/links

##@ Tests
.PHONY: check
check: lint types unit ## lint, types, unit: at most 4 minutes

.PHONY: test
test: setup-test check netns browser sanity molecule test-lab ## all that CI runs: at most 45 minutes

.PHONY: test-full
test-full: setup ## test, the matrix of controllers, the virtual host with Debian 13 and with a BIOS; writes docs/results/test-full.md
	@tools/record test-full make --no-print-directory test matrix test-boot test-trial test-vfio test-firewall test-lab-13 test-lab-bios

.PHONY: lint
lint: setup ## ruff, yamllint, ansible-lint, shellcheck, licences, changelog fragments
	@tools/timed lint tools/lint

.PHONY: format
format: setup ## mend what ruff can mend by itself
	@tools/timed format sh -c 'ruff check --fix --quiet --exit-zero . && ruff format .'

.PHONY: types
types: setup ## mypy, strict
	@tools/timed types tools/types $(ARGS)

.PHONY: unit
unit: setup ## unit tests with branch coverage
	@tools/timed unit tools/unit $(ARGS)

.PHONY: netns
netns: setup-test ## what the kernel makes of the rules, in network namespaces of their own
	@tools/timed netns tools/netns $(ARGS)

.PHONY: browser
browser: setup-test ## the readiness report, opened in a headless browser
	@tools/timed browser tools/browser $(ARGS)

.PHONY: sanity
sanity: setup ## ansible-test sanity, no ignores
	@tools/timed sanity tools/sanity $(ARGS)

.PHONY: molecule
molecule: setup-test ## the Molecule scenarios on systemd containers
	@tools/timed molecule tools/run-molecule $(ARGS)

.PHONY: test-lab
test-lab: setup-test ## each capability once on a virtual host
	@tools/timed test-lab tools/test-lab $(ARGS)

.PHONY: test-lab-13
test-lab-13: setup-test ## the same with Debian 13
	@tools/timed test-lab-13 tools/test-lab trixie

.PHONY: test-lab-bios
test-lab-bios: setup-test ## the same with a BIOS
	@tools/timed test-lab-bios tools/test-lab bookworm:bios

.PHONY: test-boot
test-boot: setup-test ## boot arguments added, changed, removed, waiting, mistyped and taken back on a virtual host
	@tools/timed test-boot tools/run-molecule boot

.PHONY: test-trial
test-trial: setup-test ## arguments that do not start: the virtual host must fall back by itself
	@tools/timed test-trial tools/run-molecule trial

.PHONY: test-vfio
test-vfio: setup-test ## devices refused, bound, kept over reboots, used by a nested guest, hanging and given back on a virtual host
	@tools/timed test-vfio tools/run-molecule vfio

.PHONY: test-firewall
test-firewall: setup-test ## lock-outs refused and rolled back, Docker and libvirt beside the rules, undo and boot on a virtual host
	@tools/timed test-firewall tools/run-molecule firewall

.PHONY: matrix
matrix: setup-test ## unit tests with ansible-core 2.21 on Python 3.13, in a Debian 13 tree
	@tools/timed matrix tools/matrix $(ARGS)

.PHONY: faults
faults: setup ## kill module and machine at every effect of the roles boot and vfio, on the running lab; writes docs/results/faults.md
	@tools/record $(or $(PAGE),faults) tools/faults $(ARGS)

.PHONY: bench
bench: setup ## compare with what one would take instead, on the running lab and on built trees; writes docs/results/bench*.md
	@tools/timed bench tools/bench $(ARGS)

##@ The lab
.PHONY: lab
lab: setup-lab ## build and start the lab, and converge it with site.yml
	@tools/timed lab-up tools/lab up $(ARGS)
	@tools/timed site ansible-playbook site.yml $(ARGS)

.PHONY: lab-down
lab-down: setup ## stop the lab; nothing is left behind
	@tools/timed lab-down tools/lab down $(ARGS)

.PHONY: lab-ssh
lab-ssh: ## log in to a lab host (HOST=name)
	@tools/lab-ssh $(HOST)

##@ Deliver
.PHONY: docs
docs: setup ## the documentation of all modules and roles as text, in dist/docs
	@tools/timed docs tools/docs

.PHONY: dist
dist: setup ## the Galaxy artefact, in dist
	@tools/timed dist tools/dist

.PHONY: lock
lock: setup ## compile requirements/*.in to hashed lock files
	@tools/timed lock tools/lock $(ARGS)

.PHONY: clean
clean: ## remove what make made in this clone; the lab and the cache stay
	@tools/clean

# Steps of the targets above.
.PHONY: setup-lab
setup-lab: setup
	@tools/packages lab

.PHONY: setup-test
setup-test: setup
	@tools/packages test lab
