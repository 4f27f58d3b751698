"""Who may ask the HTTP interface, and how often: tokens, limits of addresses, and how far it reaches."""

import os

import pytest
from api_server import RED, TOKEN, check, data_url, one_server, photoprism, running

from src.api.access import Access, check_reach, read_token
from src.api.errors import RequestError
from src.api.service import Settings

server = one_server


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x", TOKEN[:-1], "é"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/api/v1/tag"), ("GET", "/api/v1/landmarks")])
def test_without_the_token_nothing_is_answered(server, method, path, token):
    status, headers, answer = server.ask(method, path, RED if method == "POST" else None, token=token)
    assert (status, headers["WWW-Authenticate"]) == (401, "Bearer")
    check("Error", answer)


@pytest.mark.parametrize(("scheme", "status"), [("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)])
def test_scheme_of_the_token(server, scheme, status):
    authorization = f"{scheme} {TOKEN}"
    assert server.ask("GET", "/api/v1/landmarks", token=None, Authorization=authorization)[0] == status


def test_without_a_token_of_the_server_none_is_asked_for():
    with running(token="") as server:
        assert server.ask("POST", "/api/v1/tag", RED, token=None)[0] == 200


def test_an_address_may_ask_for_so_much_a_minute():
    with running(rate=3) as server:
        assert [server.tag(RED)[0] for _ in range(3)] == [200] * 3
        status, headers, answer = server.tag(RED)
        assert (status, int(headers["Retry-After"])) == (429, 20)
        check("Error", answer)


def test_images_of_a_request_count_each():
    with running(rate=5) as server:
        assert server.labels(photoprism([data_url(RED)] * 5))[0] == 200
        assert server.labels(photoprism([data_url(RED)]))[0] == 429


def test_the_last_photo_that_is_allowed_may_be_a_label_request():
    with running(rate=2) as server:
        assert [server.labels(photoprism([data_url(RED)]))[0] for _ in range(3)] == [200, 200, 429]


def test_guesses_at_the_token_are_limited():
    with running(rate=3) as server:
        assert [server.ask("GET", "/api/v1/landmarks", token="wrong")[0] for _ in range(4)] == [401] * 3 + [
            429
        ]


def test_what_was_used_up_comes_back():
    now = [0.0]
    access = Access("", 60, lambda: now[0])
    for _ in range(60):
        access.count("10.0.0.1")
    with pytest.raises(RequestError) as caught:
        access.count("10.0.0.1")
    assert caught.value.headers["Retry-After"] == "1"
    access.count("10.0.0.2")  # another one
    now[0] = 1.5
    access.count("10.0.0.1")
    with pytest.raises(RequestError):
        access.count("10.0.0.1")


def test_addresses_of_one_customer_count_together():
    access = Access("", 1)
    access.count("2001:db8:1:2:3::4")
    with pytest.raises(RequestError):
        access.count("2001:db8:1:2:ffff::1")
    access.count("2001:db8:1:3::4")


# Settings


def test_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    assert read_token(None) == ""
    monkeypatch.setenv("LANDMARK_API_TOKEN", TOKEN)
    assert read_token(None) == TOKEN
    assert "LANDMARK_API_TOKEN" not in os.environ  # kernels need not know it
    assert TOKEN not in repr(Settings(TOKEN))


@pytest.mark.parametrize("text", ["", "short", "two words and more", "größer als nichts"])
def test_token_that_is_none(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, "utf-8")
    with pytest.raises(ValueError, match="at least 16"):
        read_token(file)
    with pytest.raises(ValueError, match="cannot be read"):
        read_token(tmp_path / "missing")


@pytest.mark.parametrize(
    ("ip", "alone"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("127.9.9.9", True), ("", False),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("example.org", False)],
)  # fmt: skip
def test_beyond_this_machine_a_token_is_needed(ip, alone):
    check_reach(ip, TOKEN)
    if alone:
        check_reach(ip, "")
    else:
        with pytest.raises(ValueError, match="needs a token: set LANDMARK_API_TOKEN, or give --token-file"):
            check_reach(ip, "")
