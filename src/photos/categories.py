"""ACDSee's categories: one text with a tree of all keywords, which digiKam writes as a copy of its own.

`<Categories><Category Assigned="0">Places<Category Assigned="1">India</Category></Category></Categories>`, as
`DMetadata::setACDSeeTagsPath` of digiKam has it: names are not escaped, and one that is the last step of
two paths stands in the tree once. Where a photo has no other keywords digiKam reads these.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

KEY = "http://ns.acdsee.com/iptc/1.0/:categories"

_TREE = re.compile(r"\s*<Categories>(.*)</Categories>\s*", re.DOTALL)
_TAG = re.compile(r'(<Category Assigned="[01]">|</Category>)')
_GIVEN, _NOT_GIVEN = (f'<Category Assigned="{given}">' for given in (1, 0))


def without_categories(text: str, ours: Iterable[str], others: Iterable[str]) -> str:
    """The text less some paths; empty where no category is left, unchanged where it has another form.

    Args:
        text: the categories.
        ours: paths to be taken out, with "/" or "|" between their steps.
        others: paths that stay; a last step that is also theirs stays in the tree.
    """
    steps = [re.split(r"[/|]", path) for path in ours]
    names = {path[-1] for path in steps} - {re.split(r"[/|]", path)[-1] for path in others}
    tree = _TREE.fullmatch(text)
    if not names or tree is None:
        return text
    left = _pruned(tree[1], names, {step for path in steps for step in path})
    if left in (None, tree[1]):
        return text
    return f"<Categories>{left}</Categories>" if left else ""


def _pruned(tree: str, names: Collection[str], steps: Collection[str]) -> str | None:
    """The tree in which no category has one of the names, and none of the steps is left empty."""
    pieces = _TAG.split(tree)
    opened = [_Category(-1)]
    for at, piece in enumerate(pieces):
        if piece in (_GIVEN, _NOT_GIVEN):
            opened.append(_Category(at))
        elif piece != "</Category>":
            opened[-1].texts.append(at)
        elif len(opened) == 1:
            return None
        else:
            one = opened.pop()
            name = "".join(pieces[number] for number in one.texts)
            if name in names:
                pieces[one.at] = _NOT_GIVEN
            if one.full or pieces[one.at] == _GIVEN or name not in steps:
                opened[-1].full = True
            else:
                for number in (one.at, *one.texts, at):
                    pieces[number] = ""
    closed = len(opened) == 1 and not any(pieces[number].strip() for number in opened[0].texts)
    return "".join(pieces) if closed else None


@dataclass
class _Category:
    """One that was begun: where its start tag and its texts are, and whether another stays in it."""

    at: int
    texts: list[int] = field(default_factory=list)
    full: bool = False
