"""Large and awkward libraries: shares that hiccup, files that change, folders of 100,000, any names."""

import errno
import os
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from tag_library import contents, photo, run, table

from src import files
from src.files import FileError, write
from src.landmarks.table import describe
from src.landmarks.tags import confirmed_tags
from src.library import read_ahead
from src.library.catalog import Catalog
from src.library.remote import Addressed
from src.photos.files import find_photos, read_photo_file
from src.photos.sidecar_names import find_sidecar, photos_in
from src.photos.write_tags import write_sidecar
from src.photos.xmp_edit import EMPTY

pytest_plugins = ("tag_fixtures",)


class Hiccups:
    """Raises an error at the first calls for each path, then does what it stands for."""

    def __init__(self, function, times=1, number=errno.EIO):
        self.function, self.times, self.number, self.calls = function, times, number, {}

    def __get__(self, instance, _owner):
        return lambda *args, **options: self(instance, *args, **options)

    def __call__(self, path=".", *args, **options):
        seen = self.calls[str(args[:1] or path)] = self.calls.get(str(args[:1] or path), 0) + 1
        if seen <= self.times:
            raise OSError(self.number, os.strerror(self.number), str(path))
        return self.function(path, *args, **options)


@pytest.fixture
def pauses(monkeypatch):
    slept = []
    monkeypatch.setattr(files.time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.ECONNRESET])
def test_a_share_that_hiccups_loses_no_photo(library, monkeypatch, pauses, number):
    expected = [found.path for found in find_photos(library)]
    for name in ("read_bytes", "stat"):
        monkeypatch.setattr(Path, name, Hiccups(getattr(Path, name), 1, number))
    monkeypatch.setattr(os, "scandir", Hiccups(os.scandir, 1, number))
    found = list(find_photos(library))
    assert [one.path for one in found] == expected and not any(one.error for one in found)
    assert all(read_photo_file(path) for path in expected)
    assert pauses


def test_a_share_that_stays_away_is_said_after_three_tries(library, monkeypatch, pauses):
    broken = Hiccups(Path.read_bytes, 99)
    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(FileError, match=r"^a.jpg cannot be read: Input/output error; check the disk"):
        read_photo_file(library / "a.jpg")
    assert pauses == list(files.PAUSES) and set(broken.calls.values()) == {3}


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES])
def test_what_does_not_pass_is_not_waited_for(library, monkeypatch, pauses, number):
    monkeypatch.setattr(Path, "read_bytes", Hiccups(Path.read_bytes, 1, number))
    with pytest.raises(FileError):
        read_photo_file(library / "a.jpg")
    assert not pauses


def test_an_address_that_hiccups(monkeypatch, pauses):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("pyarrow")
    memory = fsspec.filesystem("memory")
    memory.pipe({"/photos/a.jpg": b"some bytes"})
    place = Addressed("memory://photos")
    monkeypatch.setattr(type(memory), "_open", Hiccups(type(memory)._open))
    try:
        assert place.read("memory://photos/a.jpg") == b"some bytes"
        assert len(pauses) == 1
        with pytest.raises(FileError):
            place.read("memory://photos/gone.jpg")
    finally:
        memory.store.clear()


# ---- Files that change -----------------------------------------------------------------------------------


def grow(path, monkeypatch, times):
    """Let a file grow while it is read, so many times."""
    original, left = Path.read_bytes, [times]

    def read(self):
        data = original(self)
        if self == path and left[0] > 0:
            left[0] -= 1
            with open(path, "ab") as file:
                file.write(b"more")
        return data

    monkeypatch.setattr(Path, "read_bytes", read)


def test_a_file_that_changes_while_it_is_read_is_read_again(library, monkeypatch, pauses):
    path = library / "a.jpg"
    grow(path, monkeypatch, 1)
    assert read_photo_file(path).endswith(b"more")


def test_a_file_that_does_not_stop_changing_is_said_and_read_by_the_next_run(
    library, monkeypatch, pauses, fake, capsys
):
    with monkeypatch.context() as patched:
        grow(library / "a.jpg", patched, 99)
        assert run(library) == 1
    said = "a.jpg cannot be read: another program is changing it; wait for its end and try again."
    assert said in capsys.readouterr().out
    assert run(library) == 0
    assert table()[0]["landmark"] == "Taj Mahal" and fake.asked == 4


def test_a_file_that_changed_after_it_was_found_is_looked_at_again(library, monkeypatch, fake):
    path, original = library / "a.jpg", Path.read_bytes

    def read(self):
        if self == path:
            photo(path, "green", side=80)
        return original(self)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", read)
        run(library)
    photo(path, "blue", side=80)
    run(library)
    assert table()[0]["landmark"] == "Hawa Mahal"


@pytest.mark.parametrize("mode", ["sidecar", "copy"])
def test_photos_that_changed_places_after_they_were_looked_at_get_no_tags_of_each_other(
    library, tmp_path, mode, monkeypatch, fake, capsys
):
    """Photos of one burst, renamed in turn meanwhile: sizes and times of the files are the same."""
    red, green = (photo(library / f"{name}.png", name, kind="PNG") for name in ("red", "green"))
    size = max(red.stat().st_size, green.stat().st_size)
    for path in (red, green):
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
        os.utime(path, ns=(10**18, 10**18))
    writing = ["--write", mode, *(["--to", tmp_path / "copies"] if mode == "copy" else [])]
    save_records = Catalog.save_records

    def save(self, records):
        save_records(self, records)
        between = red.rename(library / "between")
        green.rename(red)
        between.rename(green)

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "save_records", save)
        assert run(library, *writing) == 1
    said = capsys.readouterr().out
    assert "red.png was changed after" in said and "2 failed, 3 written" in said
    assert run(library, *writing) == 0
    target = library / "red.png.xmp" if mode == "sidecar" else tmp_path / "copies" / "red.png"
    assert b"Eiffel Tower" in target.read_bytes() and b"Taj Mahal" not in target.read_bytes()
    assert fake.asked == 6  # an answer belongs to what was seen


# ---- Many files, any names -------------------------------------------------------------------------------


def test_writing_one_file_does_not_list_its_folder(tmp_path, monkeypatch):
    """With 200,000 photos in one folder a list takes 0.2 seconds, for each of them."""
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, None)
    monkeypatch.setattr(Path, "glob", None)
    write(tmp_path / "a.xmp", b"new", replace=False)
    write(tmp_path / "a.xmp", b"newer", replace=True)
    assert (tmp_path / "a.xmp").read_bytes() == b"newer"


@pytest.mark.parametrize("naming", ["auto", "stem"])
@pytest.mark.parametrize("arguments", [["--write", "sidecar"], ["--only-missing"]])
def test_a_folder_is_listed_once_a_step_for_all_its_sidecars(library, monkeypatch, naming, arguments):
    """With IMG_1.xmp beside each of 4,000 photos, as Lightroom has it, listing took 9 ms for each of them.

    One step looks for positions in sidecars, another writes or chooses.
    """
    for number in range(9):
        photo(library / f"IMG_{number}.jpg", (200, number, 40))
        if naming == "auto":  # for "stem" none need be there
            (library / f"IMG_{number}.xmp").write_bytes(EMPTY)
    listed, iterdir = [], Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: listed.append(folder) or iterdir(folder))
    if arguments[0] == "--write":
        arguments = [*arguments, "--sidecar-name", naming]
    assert run(library, *arguments) == 0
    assert len(set(listed)) <= 2 and max(Counter(listed).values(), default=0) <= 2
    assert ("--write" in arguments) == (b"Taj Mahal" in sidecar_of(library, 8))


def sidecar_of(library, number):
    path = library / f"IMG_{number}.xmp"
    return path.read_bytes() if path.exists() else b""


def test_a_sidecar_that_says_whose_it_is_asks_for_no_list(tmp_path, monkeypatch):
    path = photo(tmp_path / "IMG_1.jpg")
    write_sidecar(path, find_sidecar(path, "stem"), confirmed_tags(describe("00.Taj_Mahal"), "m"))
    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, None)
    for naming in ("auto", "stem"):
        assert find_sidecar(path, naming) == tmp_path / "IMG_1.xmp"


def test_a_list_of_a_folder_knows_no_sidecars_and_names_photos_only(tmp_path):
    for name in ("IMG_1.jpg", "IMG_1.CR2", "IMG_1.xmp", "IMG_1.jpg.xmp", "IMG.2.jpg", "notes.txt", "jpg"):
        (tmp_path / name).touch()
    found = {stem: sorted(suffixes) for stem, suffixes in photos_in(tmp_path).items()}
    assert found == {"IMG_1": [".CR2", ".jpg"], "IMG.2": [".jpg"]}


def test_one_folder_of_many_files_is_found_in_time(tmp_path):
    for number in range(20_000):
        (tmp_path / f"IMG_{number:05}.jpg").touch()
    assert sum(1 for _ in find_photos(tmp_path)) == 20_000


def test_photos_come_in_their_order_and_what_is_not_begun_is_given_up():
    """After Ctrl-C, --learn looked at all other photos first."""
    begun = []
    results = read_ahead.in_threads(lambda number: begun.append(number) or -number, range(10_000))
    assert [next(results) for _ in range(3)] == [(0, 0), (1, -1), (2, -2)]
    results.close()
    assert len(begun) <= 3 + 3 * read_ahead.THREADS


NAMES = (
    *("ταξίδι", "путешествие", "旅行", "여행", "رحلة", "מסע", "ताज महल", "ทริป", "🗼", "é" * 60, "a b\tc"),
    *(unicodedata.normalize(form, "Café Hồ Gươm") for form in ("NFC", "NFD")),
    *("-rf", "a'b\"c", "#1 %20 ?x", "a;b|c", "\N{RIGHT-TO-LEFT OVERRIDE}gpj"),
)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS takes both normalisations for one name")
def test_names_of_any_script_are_written_reviewed_and_undone(tmp_path, fake):
    folder = tmp_path / "Größe 旅"
    for number, name in enumerate(NAMES):
        photo(folder / f"{name}.jpg", "red", side=64 + number)
    before = contents(folder)
    assert run(folder, "--review") == 0
    assert {Path(row["path"]).stem for row in table()} == set(NAMES)
    assert run(folder, "--write", "sidecar") == 0
    assert {path.name for path in folder.glob("*.xmp")} == {f"{name}.jpg.xmp" for name in NAMES}
    assert run(folder, "--undo") == 0
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "@Recycle", "$RECYCLE.BIN", "lost+found"])
def test_thumbnails_of_systems_and_what_was_deleted_are_no_photos(library, name, caplog):
    """photoprism 1543, 4921: each photo of a Synology has five thumbnails in @eaDir."""
    photo(library / "below" / name / "a.jpg" / "SYNOPHOTO_THUMB_XL.jpg")
    (library / name).mkdir(mode=0)  # lost+found is root's alone, which made every run of a whole disk fail
    photo(library / "eaDir" / "a.jpg")
    assert len(list(find_photos(library))) == 5 and not caplog.text
    assert len(list(find_photos(library / "below" / name))) == 1  # who names it wants it


@pytest.mark.parametrize("name", ["Photos Library.photoslibrary", "Smart Previews.LRDATA"])
def test_the_library_of_another_program_is_not_looked_through_which_is_said(library, name, caplog):
    """Nothing may be written there, and it holds each photo more than once."""
    photo(library / name / "originals" / "0" / "a.jpg")
    assert len(list(find_photos(library))) == 4
    assert f"{name} is the library of another program; not looked through." in caplog.text
    assert len(list(find_photos(library / name))) == 1


def test_links_in_a_loop_end(library, caplog):
    """A folder that holds itself, two that hold each other, and a file that is its own link."""
    (library / "itself").symlink_to(library)
    (library / "below" / "up").symlink_to(library / "other")
    (library / "other").symlink_to(library / "below")
    (library / "round").symlink_to(library / "round")
    assert len([found for found in find_photos(library) if not found.error]) == 4


# ---- Two runs --------------------------------------------------------------------------------------------


def test_two_runs_with_tables_of_their_own_write_one_sidecar(library):
    """The second adds nothing, and either may be undone first."""
    before = contents(library)
    assert run(library, "--write", "sidecar", "--out", "one.csv") == 0
    once = contents(library)
    assert run(library, "--write", "sidecar", "--out", "two.csv") == 0
    assert {path: data for path, (data, _) in contents(library).items()} == {
        path: data for path, (data, _) in once.items()
    }
    assert run(library, "--undo", "--out", "one.csv") == 0
    assert run(library, "--undo", "--out", "two.csv") == 0
    assert contents(library) == before
