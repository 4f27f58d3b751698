"""What the page says of an answer, of its evidence and of the place, as HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from src.files import FileError, shown_name
from src.inference.own import ENOUGH, Fit, some_of
from src.inference.own_file import OwnError
from src.inference.report import FORESEEN
from src.landmarks.answer import Guess
from src.landmarks.evidence import Revised, Taken, distance_between
from src.landmarks.table import Landmark
from src.landmarks.worldmap import small_map

HARDLY = 0.01  # what is less likely than that is not worth a place in a list


def alert(sentence: str) -> str:
    """A sentence on what went wrong, which a screen reader says at once."""
    return f'<p class="lt-alert" role="alert">{escape(sentence)}</p>'


def apology(error: Exception) -> str:
    """One sentence on an error, as HTML; what is inside of one that nobody foresaw is not for visitors."""
    if isinstance(error, (*FORESEEN, OwnError, FileError)):
        return alert(str(error))
    return alert(f"Something went wrong ({type(error).__name__}); please try again.")


def note_text(sentence: str) -> str:
    """What is missing of a picture, if anything is."""
    return f'<p class="lt-evidence">{escape(sentence)}</p>' if sentence else ""


def answer_text(revised: Revised, taken: Taken, threshold: float) -> str:
    """The headline, the evidence beside the picture, and the guesses with their probabilities.

    Args:
        threshold: the probability from which on a landmark is named.
    """
    answer = revised.answer
    best, evidence = answer.guesses[0], _evidence(revised, taken)
    if answer.recognised:
        caption = "How sure it is"
        headline = f"<h2>{escape(best.landmark.title)}</h2>"
    elif answer.known < HARDLY:
        # Where the picture does look like one, and its position rules that out, the evidence says so.
        return f"<h2>No landmark that I know.</h2>{evidence or '<p>It looks like none of them.</p>'}"
    else:
        caption = "What is closest"
        headline = (
            f"<h2>No landmark that I know.</h2><p>It looks most like {escape(best.landmark.name)}, "
            f"but I am not sure enough to say so: {percent(answer.known)}, and it takes "
            f"{100 * threshold:.3g}\N{NO-BREAK SPACE}%.</p>"
        )
    return f"{headline}{evidence}<h3>{caption}</h3>{_guesses(answer.guesses)}"


def _guesses(guesses: Sequence[Guess]) -> str:
    """Bars; those that are hardly likely are there for whoever asks, but not the first."""
    likely = [guess for number, guess in enumerate(guesses) if guess.probability >= HARDLY or not number]
    rest = guesses[len(likely) :]
    text = f'<ol class="lt-guesses">{"".join(map(_bar, likely))}</ol>'
    if rest:
        others = f"{len(rest)} others, each" if len(rest) > 1 else "1 other,"
        summary = f"<summary>{others} below {percent(HARDLY)}</summary>"
        bars = f'<ol class="lt-guesses">{"".join(map(_bar, rest))}</ol>'
        text += f'<details class="lt-rest">{summary}{bars}</details>'
    return text


def confirmed_text(landmark: Landmark) -> str:
    """The headline of a photo that a person named."""
    return f"<h2>{escape(landmark.title)}</h2>"


def _evidence(revised: Revised, taken: Taken) -> str:
    """A line for what the position of the camera and photos taken nearby changed, where they did."""
    alone, after = revised.alone, revised.answer
    same = (alone.recognised, alone.guesses[0].landmark) == (after.recognised, after.guesses[0].landmark)
    if same and abs(revised.change) < 0.01:
        return ""
    name = escape(alone.guesses[0].landmark.name)
    clues = ["its position"] if taken.latitude is not None else []
    if revised.neighbours:
        clues.append(f"{counted(revised.neighbours, 'photo')} taken nearby")
    evidence = f"Counts {' and '.join(clues)} as evidence"
    if revised.too_far_km is not None:
        evidence = f"Taken {_distance(revised.too_far_km)} from {name}, too far to see it"
    return f'<p class="lt-evidence">{evidence}; the picture alone: {name}, {percent(alone.known)}.</p>'


def place_text(revised: Revised, taken: Taken, *, said: bool = False) -> str:
    """The map, and what the file itself gives away of where it was taken.

    Args:
        said: whether a person named the landmark; else the picture alone gives it away.
    """
    answer, camera = revised.answer, taken.position
    landmark = answer.guesses[0].landmark if answer.recognised else None
    position = _position(landmark) if landmark else ""
    lines = [position] if position else []
    if camera:
        kilometres = distance_between(taken, landmark) if landmark else None
        off = ""
        if landmark and kilometres is not None:
            off = f", {_distance(kilometres)} from {escape(landmark.name)}"
        lines.append(f"<b>The file itself says {degrees(*camera)}</b>{off}: whoever gets it can read that.")
    elif position and not said:
        lines.append("<b>This photo can be located even though it carries no GPS position.</b>")
    text = "".join(f"<p>{line}</p>" for line in lines)
    return small_map(landmark, camera) + text


def _bar(guess: Guess) -> str:
    landmark, probability = guess.landmark, guess.probability
    place = f" <small>{escape(landmark.place)}</small>" if landmark.place else ""
    return (
        f"<li><span>{escape(landmark.name)}{place}</span><b>{percent(probability)}</b>"
        f'<div class="lt-track"><div style="width:{100 * probability:.1f}%"></div></div></li>'
    )


def percent(probability: float) -> str:
    """Whole percent; a model is never quite sure, so 0 and 100 are not among them."""
    if probability < 0.01:
        return "<\N{NO-BREAK SPACE}1\N{NO-BREAK SPACE}%"
    if probability > 0.99:
        return ">\N{NO-BREAK SPACE}99\N{NO-BREAK SPACE}%"
    return f"{100 * probability:.0f}\N{NO-BREAK SPACE}%"


def _position(landmark: Landmark) -> str:
    if landmark.position is None:
        return ""
    (latitude, longitude), extent = landmark.position, landmark.extent_km or 0
    around = f", about {extent:,.0f} km across" if extent >= 2 else ""
    street = (
        f"https://www.openstreetmap.org/?mlat={latitude:.5f}&amp;mlon={longitude:.5f}"
        f"#map={_street_zoom(extent)}/{latitude:.5f}/{longitude:.5f}"
    )
    link = f'<a href="{street}" target="_blank" rel="noopener noreferrer">OpenStreetMap</a>'
    return f"{degrees(latitude, longitude)}{around} · {link}"


def _street_zoom(extent_km: float) -> int:
    """OpenStreetMap's zoom level that shows so many kilometres; each level halves them."""
    return int(np.clip(15 - np.log2(max(extent_km, 0.5)), 4, 16))


def degrees(latitude: float, longitude: float) -> str:
    """A position for people, "48.8584° N, 2.2945° E"."""
    north, east = "S" if latitude < 0 else "N", "W" if longitude < 0 else "E"
    return f"{abs(latitude):.4f}° {north}, {abs(longitude):.4f}° {east}"


def _distance(kilometres: float) -> str:
    if kilometres < 1:
        return f"{10 * round(100 * kilometres)} m"
    return f"{kilometres:,.0f} km" if kilometres >= 10 else f"{kilometres:.1f} km"


def counted(number: int, thing: str) -> str:
    """So many things, "1 photo" or "2 photos"."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def fit_text(photos: int, fit: Fit) -> str:
    """How well a landmark of a person's own is known, and what would help."""
    lines = []
    if fit.recognised is None:
        lines.append(f"1 photo. Add others, from other sides: {ENOUGH} are good.")
    else:
        are = "is" if fit.recognised == 1 else "are"
        more = "" if photos >= ENOUGH else f" {ENOUGH} are good: add some from other sides."
        lines.append(f"{fit.recognised} of {photos} photos {are} recognised by the others.{more}")
    if fit.misfits:
        names = escape(some_of([shown_name(name) for name in fit.misfits]))
        lines.append(f"Unlike the rest: {names}. Take back what shows something else.")
    if fit.alike:
        names = escape(some_of(fit.alike))
        lines.append(f"It looks like {names}: their photos may be mixed up.")
    return "".join(f"<p>{line}</p>" for line in lines)
