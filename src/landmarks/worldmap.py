"""Maps that need no server: the outline of the world with pins on it, as SVG.

`world.svg` holds land and borders of Natural Earth (1:50m, public domain), thinned to what shows at the
width of a phone. Nobody is asked for tiles, so nobody learns which place a photo shows.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

from src.landmarks.table import Landmark

UNITS = 100  # of world.svg in a degree of longitude
LATITUDES = 85.0  # the map ends there, as web maps do
KM_PER_DEGREE = 111.195  # of latitude, on the sphere of 6371 km
_WORLD = Path(__file__).with_name("world.svg").read_text("utf-8")  # at import: see src.app.page
_SHAPES = _WORLD[_WORLD.index("<path") : _WORLD.rindex("</svg>")]

# Drawn once in a page; every map of it refers to this.
OUTLINE = (
    '<svg width="0" height="0" aria-hidden="true"><symbol id="lt-world" overflow="visible">'
    f"{_SHAPES}</symbol></svg>"
)

_PIN = '<path class="lt-pin" d="M0 0C-3-9-9-13-9-20a9 9 0 0 1 18 0C9-13 3-9 0 0Z"/><circle cy="-20" r="3.5"/>'
_CAMERA = '<circle class="lt-camera" r="7"/>'
_NORTH = 42.0 * UNITS  # how far north of the equator the middle of the inhabited world lies on the map
_AROUND = 45.0 * UNITS  # a width that shows enough coast to tell where on Earth a place is
_PIXELS = 420  # the usual width of a small map; app.js knows the real one


@dataclass(frozen=True)
class Place:
    """A landmark on the map: degrees, WGS84, and how many photos show it."""

    landmark: str
    latitude: float
    longitude: float
    photos: int


def mercator(latitude: float, longitude: float) -> tuple[float, float]:
    """Where a point (degrees, WGS84) lies on the map: x to the east, y to the south (EPSG:3857, scaled)."""
    latitude = max(-LATITUDES, min(LATITUDES, latitude))
    y = math.degrees(math.log(math.tan(math.pi / 4 + math.radians(latitude) / 2)))
    return UNITS * longitude, -UNITS * y


def small_map(landmark: Landmark | None, camera: tuple[float, float] | None = None) -> str:
    """A map with a pin at the landmark, a circle for its extent, and a dot where the camera was.

    It shows what lies around; app.js lets people drag and zoom it. Empty where no place is known.
    """
    marks, circle, x, y, width = [], "", 0.0, 0.0, _AROUND
    if camera:
        x, y = mercator(*camera)
        marks.append((x, y, _CAMERA, "where the photo says it was taken"))
    if landmark and landmark.position:
        x, y = mercator(*landmark.position)
        marks.append((x, y, _PIN, landmark.name))
        radius = _radius(landmark)
        circle = f'<circle class="lt-extent" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.2f}"/>'
        width = max(width, 4 * radius)
    if not marks:
        return ""
    pins = "".join(_mark(*mark, width) for mark in marks)
    label = escape(" and ".join(title for *_, title in reversed(marks)))
    return _framed((x, y, width), f'role="img" aria-label="Map: {label}"', circle + pins)


def map_to_pick_on(start: tuple[float, float] | None = None) -> str:
    """A map on which app.js lets people pick a place, by a click or with the keyboard.

    Args:
        start: degrees, WGS84, of the place that is picked at first; None for none, and the whole world.
    """
    x, y, width = (*mercator(*start), _AROUND) if start else (0.0, -_NORTH, 360.0 * UNITS)
    mark = _mark(x, y, _PIN, "the place that is picked", width)
    if not start:
        mark = mark.replace("<g ", '<g style="display:none" ', 1)
    label = "Map to pick a place on: arrow keys move it, plus and minus zoom, Enter picks its middle"
    cross = f'<g class="lt-mark lt-cross" {_at(x, y, width)}><path d="M-14 0H14M0-14V14"/></g>'
    attributes = f'role="application" tabindex="0" aria-label="{label}" data-pick'
    picked = '<p class="lt-heard" aria-live="polite"></p>'
    return _framed((x, y, width), attributes, mark + cross) + picked


def _mark(x: float, y: float, shape: str, title: str, width: float) -> str:
    """A mark that keeps its size whatever the zoom, on a map of this width."""
    return f'<g class="lt-mark" {_at(x, y, width)}><title>{escape(title)}</title>{shape}</g>'


def _at(x: float, y: float, width: float) -> str:
    place, scale = f"translate({x:.1f} {y:.1f})", f"scale({width / _PIXELS:.4f})"
    return f'data-x="{x:.1f}" data-y="{y:.1f}" transform="{place} {scale}"'


def _framed(frame: tuple[float, float, float], attributes: str, inside: str) -> str:
    """A map with buttons to zoom; its frame is the middle and the width."""
    x, y, width = frame
    height = width * 0.62
    box = f"{x - width / 2:.1f} {y - height / 2:.1f} {width:.1f} {height:.1f}"
    return (
        f'<div class="lt-map"><svg viewBox="{box}" data-home="{box}" {attributes}>'
        f'<use href="#lt-world"/>{inside}</svg><div class="lt-zoom">'
        '<button type="button" data-zoom="0.5" aria-label="Zoom in">+</button>'
        '<button type="button" data-zoom="2" aria-label="Zoom out">−</button></div></div>'
    )


def world_map(places: Iterable[Place]) -> str:
    """An SVG of the world with a circle for each landmark, its area as its photos."""
    circles = []
    for place in places:
        x, y = mercator(place.latitude, place.longitude)
        radius = UNITS * min(6, 0.6 * place.photos**0.5)
        title = f"<title>{escape(place.landmark)}: {place.photos}</title>"
        circles.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}">{title}</circle>')
    return (
        '<svg viewBox="-18000 -15000 36000 21500" role="img" aria-label="Map of the landmarks">\n'
        f"{_SHAPES}{chr(10).join(circles)}</svg>\n"
    )


def _radius(landmark: Landmark) -> float:
    """Half of the landmark's extent in units of the map, which stretches with latitude."""
    degrees = (landmark.extent_km or 0) / 2 / KM_PER_DEGREE
    return UNITS * degrees / math.cos(math.radians(min(LATITUDES, abs(landmark.latitude or 0.0))))
