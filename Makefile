# `make app` and `make test` set up everything they need in $(VENV), once.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

BACKBONE ?= tf_efficientnet_lite2
# folders of photos of no landmark, which both trainings of `make udacity` learn from as well
UNKNOWN ?=

# for `make tag`: the folder of photos, and options of `python -m src.tag`
PHOTOS ?= .

.PHONY: app host tag test lint format notebooks udacity bench clean

app: $(VENV)/app.done
	$(BIN)/voila app.ipynb

# for visitors: one model for all of them, at most 20 at once; see docs/hosting.md
host: $(VENV)/app.done
	$(BIN)/python -m src.host

# a whole library: make tag PHOTOS="~/Pictures --write sidecar"
tag: $(VENV)/app.done
	$(BIN)/python -m src.tag $(PHOTOS)

test: $(VENV)/dev.done
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Dockerfile

format: $(VENV)/dev.done
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# the full training: hours on a CPU; goes on where it was stopped; without bars, which make no sense once saved
notebooks: $(VENV)/dev.done
	TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --to notebook --execute --inplace \
		cnn_from_scratch.ipynb transfer_learning.ipynb

# both models on the Udacity landmarks, which are downloaded first (750 MB): needs the internet, and hours or a GPU
udacity: PYTHON_THERE = env -u LANDMARK_IMAGES $(BIN)/python
udacity: GIVEN = $(UNKNOWN:%=--unknown %)
udacity: $(VENV)/full.done
	$(PYTHON_THERE) -m src.train --model scratch --runs runs/udacity $(GIVEN)
	$(PYTHON_THERE) -m src.export runs/udacity/scratch/train runs/udacity/original_exported.pt $(GIVEN)
	$(PYTHON_THERE) -m src.train --model transfer --backbone $(BACKBONE) --runs runs/udacity $(GIVEN)
	$(PYTHON_THERE) -m src.export runs/udacity/transfer/finetune runs/udacity/transfer_exported.pt $(GIVEN)

# speed, growth and many visitors, into benchmarks/RESULTS.md and docs/growth.png: about an hour on two idle cores,
# with the data set where LANDMARK_IMAGES says
bench: $(VENV)/dev.done
	for name in throughput training growth load load_api; do \
		TQDM_DISABLE=1 $(BIN)/python benchmarks/$$name.py || exit 1; \
	done

# without torch: app, host and tagger run by ONNX Runtime
$(VENV)/app.done: requirements-app.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile -r requirements-app.txt
	touch $@

$(VENV)/full.done: requirements.txt $(VENV)/app.done
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python -r requirements.txt
	touch $@

$(VENV)/dev.done: requirements-dev.txt requirements-cluster.txt $(VENV)/full.done
	$(BIN)/uv pip install --python $(BIN)/python -r requirements-dev.txt
	touch $@

# not runs/: what hours of training left there is for you to delete
clean:
	rm -rf $(VENV) evaluation
