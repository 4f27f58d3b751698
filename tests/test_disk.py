"""Disks that are full and folders that nobody may write to: one sentence, and nothing half is left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import colour_net

from src.data.folders import load_pictures
from src.files import replacing
from src.inference.exporter import ExportError, export
from src.inference.predictor import Predictor
from src.models.checkpoints import CheckpointError, load_checkpoint, save_checkpoint

ROOT = Path(__file__).parents[1]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def state(megabytes):
    return {"architecture": {"model": "none"}, "weights": torch.ones(int(megabytes * 2**18))}


def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(small_disk):
    path = small_disk / "run" / "last.pt"
    save_checkpoint(state(0.3), path)
    before = path.read_bytes()
    with pytest.raises(
        CheckpointError, match=r"last\.pt cannot be written \(No space left on device\): make room"
    ):
        save_checkpoint(state(0.9), path)
    assert path.read_bytes() == before
    assert len(load_checkpoint(path)["weights"]) == int(0.3 * 2**18)
    assert [p.name for p in path.parent.iterdir()] == ["last.pt"]


def test_an_export_on_a_full_disk_leaves_the_one_before(small_disk, data_set, tmp_path):
    pictures = load_pictures(data_set, sizes=(32,), workers=0, cache=tmp_path / "cache")
    path = small_disk / "e.pt"
    export(colour_net(6), pictures, path)
    before = path.read_bytes()
    (small_disk / "other").write_bytes(b"x" * (2**20 - len(before) - 30_000))
    with pytest.raises(ExportError, match=r"No space left on device\): the older file was kept"):
        export(colour_net(3), pictures, path)
    assert path.read_bytes() == before
    Predictor.load(path)
    assert sorted(p.name for p in small_disk.iterdir()) == ["e.pt", "other"]


def test_training_into_a_full_disk_ends_with_a_sentence(small_disk, data_set, tmp_path):
    command = [
        sys.executable,
        "-m",
        "src.train",
        "--model",
        "scratch",
        "--data",
        str(data_set),
        "--epochs",
        "1",
    ]
    command += ["--sizes", "32", "--eval-size", "32", "--workers", "0", "--runs", str(small_disk)]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    assert not [p for p in small_disk.rglob("*") if p.is_file()]


def test_a_path_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="cannot be written"):
        save_checkpoint(state(0.01), tmp_path / "file" / "last.pt")


_DIES = "import os, sys; from pathlib import Path; from src.files import replacing"
_DIES += "\nwith replacing(Path(sys.argv[1])) as part: part.write_text('half'); os._exit(9)"


def test_what_a_killed_process_left_is_removed_and_what_another_is_writing_is_not(tmp_path):
    wanted, neighbour = tmp_path / "a.pt", tmp_path / "b.pt"
    for path in (wanted, neighbour):
        subprocess.run([sys.executable, "-c", _DIES, path], cwd=ROOT, check=False)
    assert len(list(tmp_path.glob(".*.part"))) == 2
    with replacing(wanted) as outer:
        outer.write_text("of another run")
        with replacing(wanted) as part:
            part.write_text("whole")
        assert outer.exists()
        outer.write_text("the last one")
    assert wanted.read_text() == "the last one"
    assert len(list(tmp_path.glob(".*.part"))) == 1, "what was left of another file is not its business"
