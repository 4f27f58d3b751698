"""Two processes train together as one does, and go on after one of them dies."""

import copy
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from conftest import make_data_set
from torch import nn

from src.models.checkpoints import load_checkpoint
from src.models.pretrained import build_transfer
from src.training import distributed

ROOT = Path(__file__).parents[1]
# fmt: off
TOGETHER = (
    "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=2",
    "--monitor-interval=0.1",
)
SETTINGS = (
    "--epochs", "4", "--sizes", "32", "--eval-size", "32", "--batch-size", "8", "--workers", "0",
    "--lr", "1e-2", "--no-strong", "--mixup", "0", "--cutmix", "0",
)
# fmt: on


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("together")
    make_data_set(folder / "data", train=16)
    return folder


def start(place, runs, *launcher):
    command = [
        sys.executable,
        *launcher,
        "-m",
        "src.train",
        "--model",
        "scratch",
        "--data",
        str(place / "data"),
    ]
    environment = os.environ | {"XDG_CACHE_HOME": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    log = (place / f"{runs}.log").open("w")
    return subprocess.Popen(
        [*command, "--runs", str(place / runs), *SETTINGS], cwd=ROOT, env=environment, stdout=log, stderr=log
    )


def finish(place, runs, process):
    assert process.wait(timeout=90) == 0, (place / f"{runs}.log").read_text()[-3000:]
    return load_checkpoint(place / runs / "scratch" / "train" / "last.pt")


def of_rank(rank, launcher):
    """The pid of a rank of this launcher, while it trains."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"\nPPid:\t{launcher}\n" in (folder / "status").read_text() and (
                f"\0LOCAL_RANK={rank}\0".encode() in (folder / "environ").read_bytes()
            ):
                return int(folder.name)
        except OSError:
            pass
    return None


@pytest.mark.parametrize(
    ("processes", "device", "converted"), [(2, "cuda", True), (1, "cuda", False), (2, "cpu", False)]
)
def test_batch_norms_see_all_pictures_where_several_gpus_train(monkeypatch, processes, device, converted):
    monkeypatch.setattr(distributed, "processes", lambda: processes)
    plain = build_transfer("tf_efficientnet_lite0", 3, weights=None).eval()  # its norms hold activations
    network = distributed.synchronised(copy.deepcopy(plain), torch.device(device))
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms and {isinstance(m, nn.SyncBatchNorm) for m in norms} == {converted}
    assert list(network.state_dict()) == list(plain.state_dict())
    x = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(network(x), plain(x))


@pytest.mark.cluster
def test_two_processes_do_what_one_does_and_survive_a_kill(place):
    together = finish(place, "together", start(place, "together", *TOGETHER))
    assert len(together["history"]) == 4
    assert together["history"][-1]["valid_accuracy"] == 1  # as one alone does

    process = start(place, "killed", *TOGETHER)
    last, end = place / "killed" / "scratch" / "train" / "last.pt", time.monotonic() + 120
    while not last.exists() and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(of_rank(1, process.pid), signal.SIGKILL)
    again = finish(place, "killed", process)
    losses = [[row["train_loss"] for row in state["history"]] for state in (again, together)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
