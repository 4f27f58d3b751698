"""Which sidecar is whose, and how new ones are called."""

import pytest
from conftest import encode, quarters
from metadata_samples import BARE, PEOPLE, TAJ, names, packet, undo_sidecar, write_sidecar
from tag_library import run

from src.files import FileError
from src.photos.packet import Packet
from src.photos.sidecar_names import NAMINGS, find_sidecar
from src.photos.write_tags import write_sidecar as write_into

pytest_plugins = ("tag_fixtures",)


def folder_of(photo, *others):
    for name in others:
        path = photo.with_name(name)
        path.write_text(PEOPLE, "utf-8") if path.suffix == ".xmp" else path.touch()


@pytest.mark.parametrize(
    ("others", "auto", "stem"),
    [
        ([], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.XMP"], "IMG_1.XMP", "IMG_1.XMP"),
        (["IMG_1.jpg.xmp", "IMG_1.xmp"], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov"], "IMG_1.xmp", "IMG_1.xmp"),  # a Live Photo, as Apple's Photos exports it
        (["IMG_1.mov"], "IMG_1.jpg.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov", "IMG_1.mov.xmp"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.mov", "IMG_1.heic"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
        (["IMG_1.xmp", "IMG_1.CR2"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),  # the raw photo's
        (["IMG_1.xmp", "IMG_1.png"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),  # nobody knows
        (["IMG_1.xmp", "IMG_1.JPG"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
        (["IMG_1.xmp", "IMG_1.txt"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.txt", "IMG_2.png"], "IMG_1.xmp", "IMG_1.xmp"),
        (["IMG_1.xmp", "IMG_1.txt", "IMG_1.CR2"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
        (["IMG_1.xmp", "IMG_1.txt", "IMG_1.CR2", "IMG_1.jpg.xmp"], "IMG_1.jpg.xmp", "IMG_1.jpg.xmp"),
    ],
)
def test_the_sidecar_of_a_photo(photo, others, auto, stem):
    """osxphotos 210, darktable 13224, immich-go 125."""
    folder_of(photo, *others)
    found = {naming: find_sidecar(photo, naming).name for naming in NAMINGS}
    assert found == {"auto": auto, "ext": "IMG_1.jpg.xmp", "stem": stem}


def test_for_adobe_the_sidecar_is_that_of_the_raw_photo(photo):
    folder_of(photo, "IMG_1.CR2", "IMG_1.xmp")
    assert find_sidecar(photo.with_suffix(".CR2"), "stem").name == "IMG_1.xmp"
    assert find_sidecar(photo.with_suffix(".CR2"), "auto").name == "IMG_1.CR2.xmp"


def test_the_sidecar_of_a_live_photo_from_apple_takes_the_tags_and_is_had_back(photo):
    """One for both files, as Photos writes it: keywords in a Seq, texts without language (osxphotos 210)."""
    apple = packet(
        "<dc:subject><rdf:Seq><rdf:li>holiday</rdf:li></rdf:Seq></dc:subject>"
        "<dc:description>We two</dc:description>"
        "<photoshop:DateCreated>2020-04-11T12:34:56Z</photoshop:DateCreated>"
    )
    shared = photo.with_suffix(".xmp")
    shared.write_bytes(apple)
    photo.with_suffix(".mov").touch()
    assert find_sidecar(photo) == shared
    write_into(photo, shared, TAJ)
    said = Packet(shared.read_bytes(), "x")
    assert said.values("dc:subject")[:2] == ["holiday", "Taj Mahal"]
    assert said.values("dc:description") == ["We two"]
    assert undo_sidecar(shared) and shared.read_bytes() == apple


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize(
    ("other", "extension", "mine"),
    [("mov", "JPG", True), ("mov", "mov", False), ("png", "JPG", True), ("png", "cr2", False)],
)
def test_what_a_sidecar_says_that_it_is_for_counts(photo, naming, other, extension, mine):
    folder_of(photo, f"IMG_1.{other}")
    shared = photo.with_suffix(".xmp")
    shared.write_bytes(packet(f"<photoshop:SidecarForExtension>{extension}</photoshop:SidecarForExtension>"))
    assert (find_sidecar(photo, naming) == shared) is (mine and naming != "ext")


def test_of_two_spellings_of_an_ending_a_sidecar_is_for_the_one_that_it_names(photo):
    """Both were tagged in the same file, so one photo lost its tags to the other's."""
    folder_of(photo, "IMG_1.JPG", "IMG_1.Jpg")
    shared = photo.with_suffix(".xmp")
    for extension, owner in (("jpg", ".jpg"), ("JPG", ".JPG"), ("jpG", "")):
        shared.write_bytes(
            packet(f"<photoshop:SidecarForExtension>{extension}</photoshop:SidecarForExtension>")
        )
        for naming in ("auto", "stem"):
            beside = (photo.with_suffix(suffix) for suffix in (".jpg", ".JPG", ".Jpg"))
            owners = [one.suffix for one in beside if find_sidecar(one, naming) == shared]
            assert owners == [owner] * bool(owner)


@pytest.mark.parametrize("naming", NAMINGS)
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("name", ["IMG_1.CR2", "IMG_1.jpg"])
def test_a_converted_photo_does_not_take_the_sidecar_of_its_original(photo, naming, there, name):
    """IMG_1.CR2.jpg, as PhotoPrism and others call it, took darktable's IMG_1.CR2.xmp and its tags."""
    converted = photo.with_name(f"{name}.jpg")
    folder_of(photo, name, converted.name, *([f"{name}.xmp"] if there else []))
    assert find_sidecar(converted, naming).name == f"{name}.jpg.xmp"
    photo.with_name(name).unlink()
    assert find_sidecar(converted, "stem").name == f"{name}.xmp"


def test_a_new_sidecar_by_the_stem_says_what_it_is_for_and_is_gone_after_undo(photo):
    path = find_sidecar(photo, "stem")
    write_into(photo, path, TAJ)
    assert Packet(path.read_bytes(), "x").values("photoshop:SidecarForExtension") == ["jpg"]
    folder_of(photo, "IMG_1.mov", "IMG_1.png")
    assert find_sidecar(photo) == path  # a later run finds it again
    first = path.read_bytes()
    write_into(photo, path, TAJ)
    assert path.read_bytes() == first
    undo_sidecar(path)
    assert names(photo.parent) == ["IMG_1.jpg", "IMG_1.mov", "IMG_1.png"]


def test_the_command_takes_the_name_of_sidecars(library, capsys):
    before = {path: path.read_bytes() for path in library.rglob("*.*")}
    assert run(library, "--write", "sidecar", "--sidecar-name", "stem") == 0
    assert {path.name for path in library.rglob("*.xmp")} == {"a.xmp", "b.xmp"}
    assert run(library, "--undo") == 0
    assert {path: path.read_bytes() for path in library.rglob("*.*")} == before
    for arguments in (["--sidecar-name", "ext"], ["--drop-c2pa"], ["--write", "sidecar", "--drop-c2pa"]):
        assert run(library, *arguments) == 2
        assert "goes with --write" in capsys.readouterr().err


def test_two_photos_of_one_name_get_a_sidecar_each(photo):
    other = photo.with_suffix(".png")
    other.write_bytes(encode(quarters(), "PNG"))
    assert write_sidecar(photo, TAJ) != write_sidecar(other, BARE)
    assert undo_sidecar(photo)
    assert names(photo.parent) == ["IMG_1.jpg", "IMG_1.png", "IMG_1.png.xmp"]


def test_a_photo_with_a_name_too_long_for_a_sidecar(tmp_path, jpeg):
    photo = tmp_path / f"{'a' * 250}.jpg"
    photo.write_bytes(jpeg)
    with pytest.raises(FileError, match="the name is too long"):
        write_sidecar(photo, TAJ)


@pytest.mark.parametrize(
    "name", ["ताज महल.jpg", "a\nb.jpg", "-rf.jpg", "foo\udcff.jpg", "a'\"<&>.jpg", " .jpg"]
)
def test_names_in_any_script(tmp_path, jpeg, name):
    photo = tmp_path / name
    photo.write_bytes(jpeg)
    assert write_sidecar(photo, TAJ).name == f"{name}.xmp"
    undo_sidecar(photo)
    assert names(tmp_path) == [name]
