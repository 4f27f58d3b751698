"""Images at addresses: only from hosts that were allowed by name, so nobody chooses whom this server asks."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httputil import HTTPInputError
from tornado.netutil import DefaultLoopResolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from src.api.errors import RequestError
from src.photos.decode import MAX_BYTES

SECONDS = 20.0  # for all of a fetch
HTTPS = 443


class Fetcher:
    """Fetches images by https from some hosts, without following redirects."""

    def __init__(self, hosts: Iterable[str]) -> None:
        """See the class.

        Args:
            hosts: names or IP addresses, with ``:PORT`` where that is not 443.

        Raises:
            ValueError: one of them is no host.
        """
        self._hosts = {_host(f"//{host}", host) for host in hosts}

    async def fetch(self, address: str, name: str) -> bytes:
        """The bytes at an address; raises RequestError, which calls the image `name`."""
        host = self._check(address, name)
        resolver = _PublicResolver()
        client = SimpleAsyncHTTPClient(
            force_instance=True, resolver=resolver, max_body_size=MAX_BYTES, max_buffer_size=2 * MAX_BYTES
        )
        request = HTTPRequest(
            address,
            connect_timeout=SECONDS / 2,
            request_timeout=SECONDS,
            follow_redirects=False,
            decompress_response=False,
            ssl_options=_tls(),
        )
        try:
            answer = await client.fetch(request, raise_error=False)
            if answer.code == 200 and answer.error is None:
                return answer.body
            reason = f"status {answer.code}" if answer.code != 599 else "no answer"
        except (HTTPClientError, HTTPInputError, OSError, ValueError) as error:
            reason = type(error).__name__
        finally:
            client.close()
        raise RequestError(422, f"{name} could not be fetched from {host} ({reason}).")

    def _check(self, address: str, name: str) -> str:
        try:
            if not re.fullmatch("[!-~]+", address) or "@" in urlsplit(address).netloc:
                raise ValueError("no plain address")
            scheme, (host, port) = urlsplit(address).scheme, _host(address, address)
        except ValueError as error:
            raise RequestError(422, f"{name} is at an address that cannot be read.") from error
        if scheme != "https" or (host, port) not in self._hosts:
            raise RequestError(
                422,
                f"{name} is at an address that this server does not ask; send the image itself, "
                "or have its host allowed (--allow-host).",
            )
        return host


class _PublicResolver(DefaultLoopResolver):
    """Finds public addresses only; the connection goes to what is checked here, and nowhere else."""

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        found = await super().resolve(host, port, family)
        if not _is_ip(host) and not all(_is_public(where[0]) for _, where in found):
            raise OSError(f"{host} is in a private network")
        return found


def _host(address: str, shown: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        if parts.hostname:
            return parts.hostname.lower().rstrip("."), parts.port or HTTPS
    except ValueError:
        pass
    raise ValueError(f'"{shown}" is no host; give a name such as photos.example.org.')


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_public(text: str) -> bool:
    address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.is_global and not address.is_multicast


@cache
def _tls() -> ssl.SSLContext:
    """Certificates as this system trusts them, or as SSL_CERT_FILE says."""
    return ssl.create_default_context()
