"""What may be wrong with a request: a status of HTTP and one sentence, which the client gets as JSON."""

from __future__ import annotations

import math

from tornado.web import HTTPError

from src.inference.answers import InferenceError
from src.photos.errors import UNUSABLE, NotAPictureError

MEANINGS = {  # of statuses that tornado itself gives
    400: "The request is not as HTTP or this interface wants it.",
    404: "There is nothing at this address; see /api/v1/openapi.json for what there is.",
    405: "This address does not take this method; see /api/v1/openapi.json.",
}


class RequestError(HTTPError):
    """A request that gets no answer.

    Attributes:
        sentence: what is wrong and what to do.
        headers: of the response, beside those that all have.
    """

    def __init__(self, status: int, sentence: str, *, wait: float = 0.0, **headers: str) -> None:
        """See the class.

        Args:
            status: of HTTP.
            sentence: what is wrong and what to do.
            wait: seconds after which to try again, if that may help.
            headers: names with "_" for "-".
        """
        super().__init__(status)
        self.sentence = sentence
        self.headers = {name.replace("_", "-"): text for name, text in headers.items()}
        if wait:
            self.headers["Retry-After"] = str(math.ceil(wait))


def request_error(error: Exception) -> RequestError | None:
    """What the client is told of a photo or a model that failed; None where nobody foresaw that."""
    if isinstance(error, NotAPictureError):
        return RequestError(415, str(error))
    if isinstance(error, UNUSABLE):
        return RequestError(422, str(error))
    if isinstance(error, InferenceError):
        return RequestError(503, "The model does not answer now; please try again.", wait=5)
    return None


def sentence_of(status: int) -> str:
    """One sentence for a status that came without one."""
    return MEANINGS.get(status, f"The server failed with status {status}; please try again.")
