"""An answer of the model becomes tags: keywords, tag paths, hashtags, a caption and a place.

Nothing is made of an answer below the threshold. What is made says that it was predicted, by which model
and how surely, for whoever meets it later in a photo library. This module needs only `src.landmarks.table`,
so it can travel with an export; `src.photos.write_tags` writes tags into files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from src.landmarks.answer import Answer
    from src.landmarks.table import Landmark

Language = Literal["en", "local"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
# Unicode's explicit directional formatting characters (UAX #9, 2), whose effect goes on after a name
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Tags:
    """What is said of one photo; a person may drop words (`without`) or change fields before it is written.

    Attributes:
        landmark: its name, "Taj Mahal"; in the local language "ताज महल", where that was asked for.
        keywords: single tags, the landmark first (with a local name, the English one second), no two alike.
        paths: tags in a tree, joined with "/": "Places/India/Agra/Taj Mahal", "Landmarks/Taj Mahal",
            "Landmarks/Themes/mausoleum".
        hashtags: for a post, "#TajMahal".
        caption: one line without the word of warning that `notice` is.
        city, country: empty where unknown.
        latitude, longitude: of the landmark, in degrees (WGS84); the photographer stood elsewhere. None where
            unknown.
        radius_m: half of what the landmark covers or is photographed from, in metres; None where unknown.
        model: which one said so.
        probability: what it gave this landmark, calibrated, in [0, 1].
        confirmed: whether a person said or confirmed which landmark it is.
    """

    landmark: str
    keywords: tuple[str, ...]
    paths: tuple[str, ...]
    hashtags: tuple[str, ...]
    caption: str
    city: str
    country: str
    latitude: float | None
    longitude: float | None
    radius_m: float | None
    model: str
    probability: float
    confirmed: bool = False

    @property
    def notice(self) -> str:
        """One sentence: predicted, by which model, with which probability; or that a person said so."""
        if self.confirmed:
            return "Confirmed by a person."
        percent = min(99, round(100 * self.probability))  # a prediction is never certain
        return f"Predicted by {self.model} with a probability of {percent} %, not confirmed by a person."

    def without(self, *words: str) -> Tags:
        """The tags less these words: no keyword, path, hashtag, city or country that says one of them.

        A caption that is not a person's own follows.
        """
        gone = {word.casefold() for word in words}
        steps = {_step(word) for word in gone}
        hashtags = {hashtag(word) for word in words}
        city = "" if self.city.casefold() in gone else self.city
        country = "" if self.country.casefold() in gone else self.country
        own = self.caption != _caption(self.landmark, self.city, self.country)
        return replace(
            self,
            keywords=tuple(word for word in self.keywords if word.casefold() not in gone),
            paths=tuple(path for path in self.paths if steps.isdisjoint(path.casefold().split("/"))),
            hashtags=tuple(tag for tag in self.hashtags if tag not in hashtags),
            caption=self.caption if own else _caption(self.landmark, city, country),
            city=city,
            country=country,
        )


def tags_for(answer: Answer, model: str, language: Language = "en") -> Tags | None:
    """The tags of an answer, or None where the model recognised no landmark.

    Args:
        answer: what `Predictor.predict` says of one picture.
        model: the model's name for people, such as `model_name` gives.
        language: of the landmark's name. With "local", names in the language and script of the place are
            used where the table has them, and the English name is a keyword as well. Everything else that
            the table has is English.
    """
    if not answer.recognised:
        return None
    best = answer.guesses[0]
    return _tags(best.landmark, best.probability, model, language)


def confirmed_tags(landmark: Landmark, model: str, language: Language = "en") -> Tags:
    """The tags of a landmark that a person named, or confirmed; for the arguments see `tags_for`."""
    return replace(_tags(landmark, 1.0, model, language), confirmed=True)


def _tags(landmark: Landmark, probability: float, model: str, language: Language) -> Tags:
    english, city, country = map(clean, (landmark.name, landmark.city, landmark.country))
    local = clean(landmark.name_local) if language == "local" else ""
    name = local or english
    themes = [clean(tag) for tag in landmark.tags]
    keywords = _distinct([name, english, city, country, *themes])
    return Tags(
        landmark=name,
        keywords=keywords,
        paths=_paths(name, city, country, themes),
        hashtags=_distinct(map(hashtag, keywords)),
        caption=_caption(name, city, country),
        city=city,
        country=country,
        latitude=landmark.latitude,
        longitude=landmark.longitude,
        radius_m=_radius(landmark),
        model=clean(model),
        probability=probability,
    )


def model_name(info: Mapping) -> str:
    """A name for the model of this ``model.json``: "landmark-tagger transfer tf_efficientnet_lite0 0584d8".

    The end is the start of the data set's fingerprint: what the model learned from.
    """
    architecture = info.get("architecture", {})
    backbones = [one.get("backbone") for one in architecture.get("networks", [architecture])]
    parts = (architecture.get("model"), *backbones, str(info.get("fingerprint", ""))[:6])
    return " ".join(["landmark-tagger", *(str(part) for part in parts if part)])


def hashtag(text: str) -> str:
    """The text as a hashtag, "#TajMahal" for "Taj Mahal"; empty where no letter is left.

    Letters of all scripts with their marks, digits and "_" stay (after Unicode UAX #31, "Hashtag
    Identifiers"); sites take no hashtag of digits alone.
    """
    text = re.sub("['’ʼ\u200c\u200d]", "", unicodedata.normalize("NFC", text))
    joined = "".join(c if unicodedata.category(c)[0] in "LMN" or c == "_" else " " for c in text)
    words = [word[0].upper() + word[1:] for word in joined.split()]
    return "#" + "".join(words) if any(c.isalpha() for c in joined) else ""


def clean(text: str) -> str:
    """The text on one line, without what XML 1.0 cannot hold, reorders the text around it or only hides."""
    kept = (" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if c not in _REORDERING)
    whole = re.sub("[\ud800-\udfff\ufffe\uffff]", "\N{REPLACEMENT CHARACTER}", "".join(kept))
    seen = any(unicodedata.category(c) not in ("Cf", "Zs") for c in whole)
    return " ".join(whole.split()) if seen else ""


def split_tags(text: str) -> tuple[str, ...]:
    """Tags that a person wrote with commas between, each once."""
    return tuple(dict.fromkeys(filter(None, map(clean, text.split(",")))))


def _caption(name: str, city: str, country: str) -> str:
    return ", ".join(_distinct([name, city, country]))


def _paths(name: str, city: str, country: str, themes: list[str]) -> tuple[str, ...]:
    """Where the tags stand in a tree; managers that read it pass over the plain keywords."""
    place = _distinct([country, city, name])
    paths = [["Places", *place]] if city or country else []
    paths += [["Landmarks", name], *(["Landmarks", "Themes", theme] for theme in themes)]
    return _distinct("/".join(map(_step, path)) for path in paths)


def _step(word: str) -> str:
    """The word as one step of a path: "/" parts them for digiKam, "|" for Lightroom."""
    return re.sub("[/|]", "-", word)


def _radius(landmark: Landmark) -> float | None:
    return None if landmark.extent_km is None else landmark.extent_km * 1000 / 2


def _distinct(words: Iterable[str]) -> tuple[str, ...]:
    """The words that are not empty, the first of those that differ only in large and small letters."""
    distinct: dict[str, str] = {}
    for word in words:
        distinct.setdefault(word.casefold(), word)
    return tuple(word for word in distinct.values() if word)
