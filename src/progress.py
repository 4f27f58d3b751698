"""Progress bars, in one way."""

import os

from tqdm.auto import tqdm


def progress_bar(*args, **options) -> tqdm:
    """A bar of tqdm's, or none where ``TQDM_DISABLE`` is set: tqdm itself heeds that in terminals only.

    With ``disable=None`` there is a bar in terminals and notebooks and nothing in a log.
    """
    if os.environ.get("TQDM_DISABLE"):
        options["disable"] = True
    return tqdm(*args, **options)
