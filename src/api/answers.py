"""Answers as JSON: of this project's own interface, and as PhotoPrism wants its labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from src.inference.answers import Answering
from src.inference.own import Own
from src.landmarks.answer import Answer
from src.landmarks.evidence import Revised
from src.landmarks.tags import model_name, tags_for

NAME = "landmark-tagger"  # as which PhotoPrism knows the model
MOST = 0.99  # confidence of a label: PhotoPrism takes 1 for confirmed by a person


@dataclass(frozen=True)
class Seen:
    """What is said of one photo: its final answer, whether the file says where it was taken, and by whom."""

    revised: Revised
    placed: bool
    predictor: Answering


def photo_answer(seen: Seen) -> dict:
    """The answer to ``POST /api/v1/tag``; `landmark` is None, and `tags` are empty, where none is known."""
    answer, model = seen.revised.answer, model_name(seen.predictor.info)
    tags = tags_for(answer, model)
    best = answer.guesses[0].landmark
    return {
        "landmark": tags.landmark if tags else None,
        "probability": _rounded(answer.known),
        "place": {
            "city": tags.city,
            "country": tags.country,
            "country_code": best.country_code,
            "latitude": tags.latitude,
            "longitude": tags.longitude,
            "radius_m": tags.radius_m,
            "wikidata": best.wikidata,
        }
        if tags
        else None,
        "tags": list(tags.keywords) if tags else [],
        "paths": list(tags.paths) if tags else [],
        "hashtags": list(tags.hashtags) if tags else [],
        "caption": tags.caption if tags else None,
        "notice": tags.notice if tags else None,
        "candidates": [
            {"landmark": guess.landmark.name, "probability": _rounded(guess.probability)}
            for guess in answer.guesses
        ],
        "evidence": _evidence(seen.revised) if seen.placed else None,
        "model": model,
    }


def _evidence(revised: Revised) -> dict:
    """What the photo's own position changed."""
    return {
        "landmark_alone": _name(revised.alone),
        "probability_alone": _rounded(revised.alone.known),
        "too_far_km": None if revised.too_far_km is None else round(revised.too_far_km, 1),
    }


def landmarks_answer(predictor: Answering, own: Own | None) -> dict:
    """The answer to ``GET /api/v1/landmarks``: what the model can recognise, and what it was taught."""
    built_in = set(predictor.landmarks)
    taught = [landmark for landmark in (own.landmarks if own else ()) if landmark not in built_in]
    landmarks = [landmark.to_dict() | {"own": False} for landmark in predictor.landmarks]
    landmarks += [landmark.to_dict() | {"own": True} for landmark in taught]
    return {"landmarks": landmarks, "model": model_name(predictor.info)}


def labels_answer(images: Sequence[Seen], request: str) -> dict:
    """PhotoPrism's ``ApiResponse`` for its label model (internal/ai/vision/api_response.go).

    Args:
        images: at least one, of one photo, as PhotoPrism sends them; a label that several have gets its best
            confidence.
        request: its id.
    """
    labels: dict[str, dict] = {}
    for seen in images:
        for label in _labels(seen.revised.answer, seen.predictor):
            known = labels.get(label["name"])
            if known is None or known["confidence"] < label["confidence"]:
                labels[label["name"]] = label
    version = model_name(images[0].predictor.info).removeprefix(NAME).strip().replace(" ", "-")
    return {
        "id": request,
        "code": 200,
        "model": {"type": "labels", "name": NAME, "version": version},
        "result": {"labels": sorted(labels.values(), key=lambda label: -label["priority"])},
    }


def _labels(answer: Answer, predictor: Answering) -> list[dict]:
    """The landmark, then what kind it is; a label's topicality and priority are on PhotoPrism's scale.

    City and country are categories, by which PhotoPrism finds a photo without listing them as labels.
    """
    tags = tags_for(answer, model_name(predictor.info))
    if tags is None:
        return []
    place = [name for name in (tags.city, tags.country) if name]
    kinds = [word for word in tags.keywords if word not in (tags.landmark, *place)]
    first = _label(tags.landmark, tags.probability, 5, 1.0, ["landmark", *place])
    return [first, *(_label(kind, tags.probability, 1, 0.5, []) for kind in kinds)]


def _label(name: str, probability: float, priority: int, topicality: float, categories: list[str]) -> dict:
    return {
        "name": name,
        "source": "image",
        "priority": priority,
        "confidence": min(MOST, _rounded(probability)),
        "topicality": topicality,
        "categories": categories,
    }


def _name(answer: Answer) -> str | None:
    return answer.guesses[0].landmark.name if answer.recognised else None


def _rounded(probability: float) -> float:
    return round(probability, 4)
