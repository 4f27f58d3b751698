"""The table of the review: as spreadsheets save it, of former versions, other libraries, in several parts."""

import csv
import os
from pathlib import Path

import pytest
from review_table import TABLE, change, data_of, rows_of
from tag_library import contents, photo, run

pytest_plugins = ("tag_fixtures",)

HOSTILE = "<img src=x onerror=alert(1)>'\"&amp;$title.jpg"


def test_broken_and_foreign_tables_are_one_sentence_and_nothing_is_written(library, capsys):
    run(library, "--review")
    good, before = TABLE.read_text("utf-8-sig"), contents(library)
    for text, message in (
        (good.replace("yes,", "perhaps,"), "line 2: approve is 'perhaps'; write yes or no"),
        ("something else", "lacks one of its columns; make it anew with --review"),
        ("", "lacks one of its columns"),
        (good.replace("Taj Mahal,,", f"Taj Mahal,{'a' * 201},"), "the name is too long; write at most 200"),
        (good.replace("Taj Mahal,,", f"Taj Mahal,{'a' * 200_000},"), "field larger than field limit"),
    ):
        TABLE.write_text(text)
        for step in (["--write", "sidecar"], ["--review"]):
            assert run(library, *step) == 2
            [line] = capsys.readouterr().err.splitlines()
            assert message in line
        assert TABLE.read_text() == text
    for text in (good.replace("Taj Mahal,,", "Taj Mahal,Café,"), good.replace("Taj Mahal,,", "Café,,")):
        TABLE.write_bytes(text.encode("cp1252"))
        assert run(library, "--write", "sidecar") == 2
        assert "'Caf\ufffd' is no UTF-8; save the table as CSV in UTF-8." in capsys.readouterr().err
    assert contents(library) == before


@pytest.mark.parametrize(
    ("encoding", "delimiter", "ending"),
    [("utf-8-sig", ";", "\r\n"), ("utf-8", "\t", "\r"), ("utf-16", "\t", "\r\n"), ("utf-8", ",", "\n")],
)
def test_a_table_as_spreadsheets_save_it(library, encoding, delimiter, ending):
    """With other columns first, one more, numbers with a comma, and an empty row below."""
    run(library, "--review")
    rows = [row | {"note": "mine"} for row in rows_of()]
    rows[0]["correct"], rows[1]["approve"] = "Café Müller", " NO"
    for row in rows:
        row["probability"] = row["probability"].replace(".", ",")
    columns = list(rows[0])[::-1]
    with TABLE.open("w", encoding=encoding, newline="") as file:
        table_of = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator=ending)
        table_of.writeheader()
        table_of.writerows([*rows, dict.fromkeys(columns, "")])
    assert run(library, "--write", "sidecar") == 0
    for row, written in zip(rows, (True, False, True), strict=True):
        sidecar = Path(row["path"] + ".xmp")
        assert sidecar.exists() == written
        assert not written or (row["correct"] or row["landmark"]) in sidecar.read_text("utf-8")


def test_a_table_of_a_former_version_is_obeyed(library, capsys):
    run(library)
    lines = ["approve,landmark,probability,probability_alone,country,path"]
    lines += [f"yes,Taj Mahal,0.9,0.9,India,{library / 'a.jpg'}"]
    lines += [f"no,Eiffel Tower,0.9,0.9,France,{library / 'b.png'}"]
    TABLE.write_text("\n".join(lines))
    assert run(library, "--write", "sidecar") == 0
    assert "1 not reviewed, 1 rejected, 1 written" in capsys.readouterr().out


def test_a_table_of_another_library_decides_nothing(library, tmp_path, capsys):
    run(library, "--review")
    TABLE.write_text(
        "approve,landmark,correct,path,content\nno,Taj Mahal,Eiffel Tower,/elsewhere/a.jpg," + "0" * 32
    )
    assert run(library, "--write", "sidecar") == 0
    assert "3 not reviewed" in capsys.readouterr().out


def test_many_photos_get_several_pages_with_a_table_each(library, monkeypatch, capsys):
    monkeypatch.setattr("src.library.review.PAGE", 2)
    run(library, "--review")
    assert "Page 1 of 2" in Path("tags.review.html").read_text()
    assert len(data_of()["photos"]) == len(data_of("tags.review-2.html")["photos"]) == 2
    assert data_of("tags.review-2.html")["table"] == "tags.review-2.csv"
    change("library/a.jpg", Path("tags.review-2.csv"), approve="no")
    change("b.png", approve="no")
    assert run(library, "--write", "sidecar") == 0
    assert "2 rejected, 1 written" in capsys.readouterr().out
    monkeypatch.setattr("src.library.review.PAGE", 5)
    run(library, "--review")
    assert not list(Path().glob("tags.review-2.*"))
    assert [row["approve"] for row in rows_of()] == ["no", "yes", "no"]


def test_names_become_no_markup_and_no_formula(tmp_path, fake):
    folder = tmp_path / "</script><script>alert(1)</script>"  # three folders
    photo(folder / HOSTILE, "red")
    photo(folder / "=cmd|' !A0.jpg", "green")
    odd = folder / os.fsdecode(b"caf\xe9,\n.jpg")
    photo(odd, "blue")
    assert run(folder, "--review") == 0
    page = Path("tags.review.html").read_text()
    assert "<img src=x" not in page and page.count("<script") == 5  # thumbnails, data, the page's own
    assert "unsafe" not in page and "default-src 'none'" in page
    data = data_of()
    assert {shown["name"] for shown in data["photos"]} >= {HOSTILE, "=cmd|' !A0.jpg"}
    assert all(shown["address"].startswith("file:///") for shown in data["photos"])
    assert {row["path"] for row in rows_of()} == {str(path) for path in folder.iterdir()}
    for shown in data["photos"]:  # what the page writes is what the command wrote
        assert shown["ending"].encode("utf-8", "surrogateescape") in TABLE.read_bytes()
    assert run(folder, "--write", "sidecar") == 0
    assert len(list(folder.glob("*.xmp"))) == 3
