"""Widgets put together and taken apart: what cards and the page do alike."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as widgets


def classed(widget: widgets.DOMWidget, *names: str) -> widgets.DOMWidget:
    """The widget with classes for app.css and app.js."""
    for name in names:
        widget.add_class(name)
    return widget


def quiet_button(label: str, press: Callable[[], object]) -> widgets.Button:
    """A button that does not stand out."""
    button = classed(widgets.Button(description=label), "lt-quiet")
    button.on_click(lambda _button: press())
    return button


def replace_in(box: widgets.Box, children: list[widgets.Widget]) -> None:
    """Put other widgets into a box, and close those that were there."""
    former, box.children = box.children, children
    for widget in former:
        close_tree(widget)


def close_tree(widget: widgets.Widget) -> None:
    """Close a widget and all that it holds, here and in the browser; take it off the page first."""
    for child in getattr(widget, "children", ()):
        close_tree(child)
    for part in ("layout", "style"):  # widgets too, which nothing else closes
        if isinstance(getattr(widget, part, None), widgets.Widget):
            getattr(widget, part).close()
    widget.close()
