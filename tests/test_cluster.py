"""A library that is tagged on a Ray cluster gets the rows of one machine, whatever happens to a worker."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from tag_library import photo

from src import tag
from src.library.catalog import Catalog

MARK = "LANDMARK_TAGGER_TEST"  # in the environment of the cluster that is started here
TASK = 2  # photos; the libraries here are small


def worker_pids():
    """The processes of our cluster that hold the network and are not just loading it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            title, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue
        ours = f"{MARK}={os.getpid()}".encode() in environment
        if ours and title.startswith(b"ray::MapWorker") and b"__init__" not in title:
            found.append(int(folder.name))
    return found


@pytest.fixture(scope="module")
def two_machines():
    """A cluster of two nodes with a core each, on this machine."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    patch.setenv(MARK, str(os.getpid()))
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    little = {"num_cpus": 1, "include_log_monitor": False}  # no process that is not needed
    cluster = Cluster(
        initialize_head=True, head_node_args=little | {"include_dashboard": False, "no_monitor": True}
    )
    cluster.add_node(**little)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()
    patch.undo()


@pytest.fixture
def on_two_machines(two_machines, monkeypatch):
    from src.library import run_ray as cluster

    monkeypatch.setenv("RAY_ADDRESS", two_machines)
    monkeypatch.setattr(cluster, "TASK", TASK)
    return cluster


@pytest.fixture(scope="module")
def place(tiny_export, tmp_path_factory):
    """A library, and its rows as one machine makes them."""
    folder = tmp_path_factory.mktemp("cluster")
    library = folder / "library"
    photo(library / "outing" / "1.jpg", "red", "2024:05:01 12:00:00")
    photo(library / "outing" / "2.jpg", (150, 147, 60), "2024:05:01 12:00:30")  # named with the other's help
    for number, colour in enumerate(("green", "blue", "gray") * 4):
        photo(library / f"{number}.png", colour, kind="PNG", side=64 + number)
    for number in range(27):  # decoded so slowly that most are still to come when one is done
        photo(library / "slow" / f"{number}.png", (200, 5 * number, 40), kind="PNG", side=1500 + number)
    shutil.copy(library / "0.png", library / "outing" / "twice.png")
    (library / os.fsdecode(b"byte\xff.jpg")).write_bytes((library / "0.png").read_bytes())
    (library / "text.jpg").write_text("no photo")
    (library / "empty.jpg").write_bytes(b"")
    (library / "gone.jpg").symlink_to("nowhere.jpg")
    (library / ".hidden.jpg").write_bytes(b"")
    (library / "notes.txt").write_text("not a photo")
    assert tag_library(library, tiny_export, folder / "local.parquet", "--engine", "local") == 1
    return folder


def tag_library(library, export, out, *options):
    return tag.main([str(text) for text in (library, "--model", export, "--out", out, *options)])


def rows(path):
    return pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()


def assert_same(ours, theirs):
    """The same rows; another number of threads may move a probability by its last bits."""
    assert [row["path"] for row in ours] == [row["path"] for row in theirs]
    for our, their in zip(ours, theirs, strict=True):
        for name in ("probability", "probability_alone"):
            assert our.pop(name) == pytest.approx(their.pop(name), abs=1e-6), our["path"]
        assert our == their


@pytest.mark.cluster
def test_the_rows_are_those_of_one_machine_though_a_worker_is_killed(
    on_two_machines, place, tiny_export, monkeypatch, capsys
):
    save, killed, saved = Catalog.save, [], []

    def kill_one_first(catalog, path, model, result):
        if not killed:
            killed.append(worker_pids()[0])
            os.kill(killed[0], signal.SIGKILL)
        saved.append(path)
        save(catalog, path, model, result)

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "save", kill_one_first)
        out = place / "cluster.parquet"
        assert tag_library(place / "library", tiny_export, out, "--engine", "ray") == 1
    assert killed and len(saved) == len(set(saved)) == 45  # the link to nowhere is not sent out
    assert "46 photos: 39 with a landmark, 4 without, 3 unreadable." in capsys.readouterr().out
    assert_same(rows(out), rows(place / "local.parquet"))
    helped = next(row for row in rows(out) if row["path"].endswith("2.jpg"))
    assert helped["landmark"] == "Taj Mahal" and helped["landmark_alone"] == ""


@pytest.mark.cluster
def test_an_address_and_a_cluster_of_this_machine(place, tiny_export, monkeypatch, capfd):
    pytest.importorskip("ray")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    address, out = f"file://{place}/library/outing", place / "address.parquet"
    assert tag_library(address, tiny_export, out, "--engine", "ray", "--workers", 2) == 0
    local = [row for row in rows(place / "local.parquet") if "/outing/" in row["path"]]
    assert_same(rows(out), [row | {"path": f"file://{row['path']}"} for row in local])
    said = capfd.readouterr()
    assert "3 photos: 3 with a landmark" in said.out and not said.err


def test_no_cluster_is_asked_where_nothing_is_new(place, tiny_export, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_ADDRESS", "nowhere.invalid:6379")
    folder, out = place / "library" / "outing", place / "outing.parquet"
    assert tag_library(folder, tiny_export, out) == 0
    assert tag_library(folder, tiny_export, out, "--engine", "ray") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["library", "--engine", "ray"], "give --out tags.parquet"),
        (["library", "--engine", "ray", "--out", "t.parquet", "--review"], "--engine ray only looks"),
        (["library", "--engine", "ray", "--out", "t.parquet", "--undo"], "--engine ray only looks"),
        (["library", "--engine", "ray", "--out", "t.parquet", "--write", "sidecar"], "only looks"),
        (["library", "--engine", "ray", "--out", "t.parquet", "--learn"], "--engine ray only looks"),
        (["nowhere", "--engine", "ray", "--out", "t.parquet"], "nowhere is no folder"),
        (["file:///nowhere", "--engine", "ray", "--out", "t.parquet"], "file:///nowhere cannot be listed"),
        (["what://is/this", "--engine", "ray", "--out", "t.parquet"], "what://… cannot be opened"),
        (["s3://bucket/photos"], "read with --engine ray"),
    ],
)
def test_wrong_usage(tiny_export, arguments, message, tmp_path, monkeypatch, capsys):
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    Path("library").mkdir()
    assert tag.main([*arguments, "--model", str(tiny_export)]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.parquet"))


def test_without_ray_it_says_what_to_install(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tag, "find_spec", lambda name: None)
    assert tag.main([str(tmp_path), "--engine", "ray", "--out", str(tmp_path / "tags.parquet")]) == 2
    assert "pip install -r requirements-cluster.txt" in capsys.readouterr().err
