"""Who may use the interface, and how much: a token, and photos a minute for each address."""

from __future__ import annotations

import hmac
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from pathlib import Path

from src.api.errors import RequestError
from src.files import read

VARIABLE = "LANDMARK_API_TOKEN"  # of the environment: holds the token
SHORTEST = 16  # characters of a token
CLIENTS = 10_000  # addresses whose use is remembered


def read_token(file: Path | None) -> str:
    """The token of a file, else of the environment variable `VARIABLE`; empty where there is neither.

    The variable is removed, so that no process that is started later inherits it.

    Raises:
        ValueError: it is no good token, or (as FileError) the file cannot be read.
    """
    inherited = os.environ.pop(VARIABLE, "")
    source = str(file) if file else f"${VARIABLE}"
    token = (read(file).decode("utf-8", "replace") if file else inherited).strip()
    if not token and not file:
        return ""
    if len(token) < SHORTEST or not all("!" <= c <= "~" for c in token):
        raise ValueError(
            f"{source} holds no token of at least {SHORTEST} ASCII characters without spaces; "
            'make one with python -c "import secrets; print(secrets.token_urlsafe(32))".'
        )
    return token


def check_reach(ip: str, token: str) -> None:
    """Raise ValueError where others could use the interface without a token.

    Args:
        ip: the address that is listened at; empty for all of this machine.
        token: empty where none is asked for.
    """
    if not token and not is_loopback(ip):
        raise ValueError(
            f"Beyond this machine (--ip {ip or 'all'}) the interface needs a token: "
            f"set {VARIABLE}, or give --token-file."
        )


def is_loopback(ip: str) -> bool:
    """Whether only this machine reaches what listens at `ip`."""
    try:
        return ip == "localhost" or ip_address(ip).is_loopback
    except ValueError:  # another name may be any address
        return False


class Access:
    """Lets in who has the token and has not asked for too much; raises RequestError for others.

    Each address may use up what it is given for a minute at once, and then gets it back bit by bit.
    """

    def __init__(self, token: str, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        """See the class.

        Args:
            token: what ``Authorization: Bearer`` has to hold; empty where nothing is asked for.
            per_minute: photos for each address; a request without a photo counts as one.
            clock: seconds.
        """
        self._token, self._most, self._clock = token.encode(), per_minute, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # photos, and when that was

    def check(self, client: str, authorization: str) -> None:
        """Count a request, and check its token: so guesses at tokens are limited as well."""
        self.count(client)
        scheme, _, given = authorization.partition(" ")
        known = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._token)
        if self._token and not (known and scheme.lower() == "bearer"):
            raise RequestError(
                401, "This needs the header Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer"
            )

    def count(self, client: str, photos: int = 1) -> None:
        """Count photos of a client, unless it has none left; the last ones may be more than it had.

        None are always allowed.
        """
        client, now = _network(client), self._clock()
        left, since = self._left.pop(client, (float(self._most), now))
        left = min(float(self._most), left + (now - since) * self._most / 60)
        allowed = left >= min(1, photos)
        self._left[client] = (left - photos if allowed else left, now)
        while len(self._left) > CLIENTS:
            self._left.popitem(last=False)
        if not allowed:
            wait = (1 - left) * 60 / self._most
            raise RequestError(
                429, f"These are more than {self._most} photos a minute; send fewer.", wait=wait
            )


def _network(client: str) -> str:
    """An IPv4 address, or what one customer of a provider has of IPv6: 64 bits."""
    try:
        address = ip_address(client)
    except ValueError:  # a Unix socket has none
        return client
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return address.exploded[:19]
    return client
