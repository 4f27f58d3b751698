"""What the tests of own landmarks in `src.tag` share: a network that sees colours, and what was taught."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from tag_library import FakePredictor, run, table

from src.inference.answers import Scores
from src.inference.own import Example, Taught
from src.inference.own_file import NAME, load_own, save_own
from src.inference.space import Space, packed
from src.landmarks.table import Landmark

EXPORT = "colours"
HOUSE, POND = "Grandma's house", "Mill pond"
PINK, ORANGE = (250, 150, 200), (250, 230, 20)
WIDTH = 64
ROW = Path("tags.review.csv")


def features_of(colour):
    """A feature for each of 64 colours: photos of two colours have nothing in common."""
    bins = [min(value // 64, 3) for value in colour]
    return np.eye(WIDTH, dtype=np.float32)[16 * bins[0] + 4 * bins[1] + bins[2]]


class Colours(FakePredictor):
    """As the fake of all tests, and what it saw is the colour."""

    info = FakePredictor.info | {"own_space": EXPORT}

    def predict(self, pictures):
        return [
            replace(self.answer(picture), features=packed(self.scores(picture)[2])) for picture in pictures
        ]

    def scores(self, picture):
        colour = picture.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        return Scores(np.zeros(3, np.float32), 0.5, features_of(colour))

    def space(self):
        means = np.stack([features_of(colour) for colour in ((200, 40, 40), (40, 200, 40), (40, 40, 200))])
        nothing = np.zeros((WIDTH, 1), np.float32)
        return Space(
            center=nothing[:, 0],
            axes=nothing,
            factors=np.ones(1),
            means=means,
            crowd=nothing.T[:0],
            cohort=nothing.T[:0],
        )


def names(path="tags.csv"):
    return {Path(row["path"]).name: row["landmark"] for row in table(path) if "below" not in row["path"]}


def say(*decisions, review=True, table=ROW):
    """Decide on photos as the page does: the name of the file, yes or no, and the landmark."""
    if review:
        run("library", "--review", "--out", table.name.replace(".review", ""))
    page = table.with_suffix(".html").read_text("utf-8")
    shown = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])["photos"]
    with open(table, encoding="utf-8-sig", newline="") as file:
        rows = {row[6]: row for row in csv.reader(file)}
    for name, approve, correct in decisions:
        [one] = [one for one in shown if one["name"] == name and "below" not in one["folder"]]
        [ending] = csv.reader([one["ending"]])
        rows[ending[3]] = [approve, one["landmark"], correct, *ending]
    with open(table, "w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows.values())


def own(path=NAME):
    return load_own(Path(path), EXPORT)


def examples(name, path=NAME):
    return [example.name for example in own(path)[name].examples]


def example_of(colour, content="1", name="app.jpg"):
    return Example(content, name, packed(features_of(colour)))


def teach(name, *taught, path=NAME, **facts):
    before = own(path) if Path(path).exists() else {}
    save_own(Path(path), before | {name: Taught(Landmark(name, name, **facts), taught)}, EXPORT)
