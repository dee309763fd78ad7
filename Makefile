# mono_depth_ros from a checkout: `make demo` and `make test` set up what they need in .venv. `make help` lists the rest.

VENV ?= .venv
SOURCE ?= clip
OUT ?= demo_output
PYTHONS = $(or $(PYTHON),python3 python3.12 python3.11 python3.13 python3.10)
PIP_INSTALL = $(VENV)/bin/python -m pip install --disable-pip-version-check --editable
METADATA = setup.cfg setup.py pyproject.toml

# .venv stands alone: nothing of a sourced ROS distribution or of another environment may leak into it.
unexport PYTHONPATH PYTHONHOME LD_LIBRARY_PATH AMENT_PREFIX_PATH ROS_DISTRO RMW_IMPLEMENTATION _ROS_WHEELS_BOOTSTRAP_COMPLETE

.PHONY: help demo test lint bench soak clean

help:
	@echo "make demo   the node on a camera, in .venv: SOURCE=clip|webcam number|video|folder|rosbag2, OUT=folder, VIEW=1 (Rerun)"
	@echo "make test   ruff, mypy and every test (adds PyTorch and the training's packages to .venv)"
	@echo "make lint   ruff and mypy alone"
	@echo "make bench  timings of the network, of others beside it, and of the node on this machine: under ten minutes"
	@echo "make soak   half an hour of everything that robots do to the node: verdicts, a record and a picture in soak_output"
	@echo "make clean  removes .venv and what was built; keeps demo_output and runs"

demo: $(VENV)/.demo $(if $(VIEW),$(VENV)/.view)
	$(VENV)/bin/python -u -m demo --source "$(SOURCE)" --output "$(OUT)" $(if $(VIEW),--view)

# In two processes: at the end of all others in one, test_throughput.py of the training has ended in a segmentation fault.
test: lint
	$(VENV)/bin/python -m pytest test/training
	$(VENV)/bin/python -m pytest --ignore test/training

lint: $(VENV)/.test
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy

bench: $(VENV)/.test
	$(VENV)/bin/python -m benchmark --rounds 8 --seconds 30

soak: $(VENV)/.test
	$(VENV)/bin/python -u -m test.soak --minutes 30

clean:
	rm -rf "$(VENV)" build install log *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp is touched when its packages are in, so that nothing is installed twice; ensurepip writes bin/pip last.
$(VENV)/.demo: $(METADATA) | $(VENV)/bin/pip
	@echo "Installing the lean runtime (no PyTorch) into $(VENV): 600 MB, about a minute"
	$(PIP_INSTALL) '.[ros,demo]'
	@touch $@

$(VENV)/.view: $(METADATA) | $(VENV)/bin/pip
	$(PIP_INSTALL) '.[ros,demo,view]'
	@touch $@

$(VENV)/.test: $(METADATA) | $(VENV)/bin/pip
	@echo "Installing PyTorch, the training's packages and the test tools into $(VENV): about 6 GB"
	$(PIP_INSTALL) '.[ros,demo,view,benchmark,training,docs,test]'
	@touch $(VENV)/.demo $(VENV)/.view $@

$(VENV)/bin/pip:
	@if [ "$$(uname -sm)" != "Linux x86_64" ]; then \
	  echo "ROS 2's wheels are for x86_64 Linux, this is $$(uname -sm): install a ROS 2 distribution and build with colcon (README.md)"; \
	  exit 1; \
	fi; \
	for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	  "$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$python"; continue; }; \
	  echo "Making $(VENV) with $$("$$python" --version)"; \
	  exec "$$python" -m venv --clear "$(VENV)"; \
	done; \
	if [ -n "$$bare" ]; then \
	  echo "$$bare cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv, then make again"; \
	else \
	  echo "No Python 3.10 to 3.13 among: $(PYTHONS). Install one, or name it: make PYTHON=/path/to/python3.12"; \
	fi; \
	exit 1
