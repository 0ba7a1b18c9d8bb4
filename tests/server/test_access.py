from __future__ import annotations

import json

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from server.access import Access, AccessError, is_local_name, is_loopback, read_token

TOKEN = "open-sesame-1"  # noqa: S105
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def guarded(serving, session, engine, rig, eventually):
    with serving(session, engine, rig, Access(TOKEN)) as running:
        eventually(lambda: running.pipeline.latest is not None)
        yield running


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/metrics", "/viewer/viewer.css", "/api/v1/hands/latest", "/api/v1/nothing"]
)
def test_everything_but_health_asks_for_the_token(guarded, path):
    refused = httpx.get(guarded.url + path)
    assert refused.status_code == 401
    assert "Bearer" in refused.json()["detail"]
    assert refused.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer nonsense", f"Basic {TOKEN}", "Bearer", "Bearer \xe9"):
        assert httpx.get(guarded.url + path, headers={"authorization": wrong.encode("latin-1")}).status_code == 401
    expected = 404 if path.endswith("nothing") else 200
    assert httpx.get(guarded.url + path, headers=BEARER).status_code == expected
    assert httpx.get(guarded.url + path, params={"token": TOKEN}).status_code == expected
    assert httpx.get(guarded.url + path, params={"token": "wrong"}).status_code == 401


def test_a_wrong_token_is_called_wrong_and_a_missing_one_needed(guarded):
    path = f"{guarded.url}/api/v1/engine"
    for headers in ({}, {"authorization": "Bearer"}, {"authorization": f"Basic {TOKEN}"}):
        assert httpx.get(path, headers=headers).json()["detail"].startswith("a token is needed: send")
    for asked in ({"headers": {"authorization": "Bearer guess"}}, {"params": {"token": "guess"}}):
        said = httpx.get(path, **asked).json()["detail"]
        assert said.startswith("the token is wrong: send the one that the service was started with (USTHAND_TOKEN")
        assert TOKEN not in said
        assert "guess" not in said
    with pytest.raises(InvalidStatus) as refused, connect(guarded.stream_url("token=guess")):
        pass
    assert b"the token is wrong" in refused.value.response.body


def test_health_never_asks(guarded):
    assert httpx.get(f"{guarded.url}/healthz").status_code == 200
    assert httpx.get(f"{guarded.url}/readyz").status_code == 200


def test_a_page_opened_with_the_token_may_load_the_rest(guarded):
    with httpx.Client(base_url=guarded.url) as browser:
        page = browser.get("/", params={"token": TOKEN})
        assert page.status_code == 200
        cookie = page.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert browser.get("/viewer/viewer.css").status_code == 200
        foreign = {"origin": "http://evil.example"}
        assert browser.post("/api/v1/calibration/rollback", headers=foreign).status_code == 403


def test_a_browser_keeps_the_tokens_of_two_services_of_one_host_apart(guarded, serving, session, engine, rig):
    with serving(session, engine, rig, Access("another")) as second, httpx.Client() as browser:
        assert browser.get(guarded.url, params={"token": TOKEN}).status_code == 200
        assert browser.get(second.url, params={"token": "another"}).status_code == 200
        for url in (guarded.url, second.url):
            assert browser.get(f"{url}/viewer/viewer.css").status_code == 200


@pytest.mark.parametrize("other", ['settings={"theme":"dark"}', "user=Jane Doe", "path=/", "name=Gr\xfc\xdfe", "; ="])
def test_what_other_services_of_this_host_keep_in_the_browser_does_not_matter(guarded, other):
    """A browser sends all cookies of a host to all its ports."""
    with httpx.Client(base_url=guarded.url) as browser:
        kept = browser.get("/", params={"token": TOKEN}).headers["set-cookie"].partition(";")[0]
    for cookie in (f"{other}; {kept}", f"{kept}; {other}"):
        assert httpx.get(guarded.url, headers={"cookie": cookie.encode("latin-1")}).status_code == 200
    assert httpx.get(guarded.url, headers={"cookie": other.encode("latin-1")}).status_code == 401


def test_the_stream_takes_the_token_either_way(guarded):
    with pytest.raises(InvalidStatus) as refused, connect(guarded.stream_url()):
        pass
    assert refused.value.response.status_code == 401
    for stream in (
        connect(guarded.stream_url(), additional_headers=BEARER),
        connect(guarded.stream_url(f"token={TOKEN}")),
    ):
        with stream:
            assert json.loads(stream.recv(5))["type"] == "hello"


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1.evil.example", "http://[junk"])
def test_foreign_pages_cannot_use_a_service_without_a_token(running, origin):
    with pytest.raises(InvalidStatus) as refused, connect(running.stream_url(), origin=origin):
        pass
    assert refused.value.response.status_code == 403
    rollback = httpx.post(f"{running.url}/api/v1/calibration/rollback", headers={"origin": origin})
    assert rollback.status_code == 403
    # A name that was made to point at this machine.
    assert httpx.get(f"{running.url}/api/v1/engine", headers={"host": "evil.example"}).status_code == 403
    assert httpx.get(f"{running.url}/api/v1/engine", headers={"host": "[junk"}).status_code == 403


def test_own_pages_and_local_ones_can(running):
    for origin in (running.url, "http://localhost:5173"):
        with connect(running.stream_url(), origin=origin) as stream:
            assert json.loads(stream.recv(5))["type"] == "hello"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "example.org", ""])  # noqa: S104
def test_binding_to_others_without_a_token_is_refused(host):
    with pytest.raises(AccessError, match="--insecure"):
        Access.for_bind(host, token=None, insecure=False)
    assert Access.for_bind(host, token=TOKEN, insecure=False).token == TOKEN
    assert Access.for_bind(host, token=None, insecure=True).token is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.5.5", "::1", "localhost"])
def test_loopback_needs_none(host):
    assert is_loopback(host)
    assert Access.for_bind(host, token=None, insecure=False).token is None


def test_local_names():
    assert all(map(is_local_name, ("localhost", "localhost:80", "[::1]:8000", "127.0.0.1", "10.0.0.4:1")))
    assert not any(map(is_local_name, ("", "evil.example", "localhost.evil.example", "[junk", "a b")))


def test_the_token_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("USTHAND_TOKEN", raising=False)
    assert read_token(None) is None
    monkeypatch.setenv("USTHAND_TOKEN", "from-env")
    assert read_token(None) == "from-env"
    file = tmp_path / "token.txt"
    file.write_text("from-file\n", encoding="utf-8")
    assert read_token(file) == "from-file"
    for bad in ("", "two words", "naïve", "semi;colon"):
        file.write_text(bad, encoding="utf-8")
        with pytest.raises(AccessError, match="one word"):
            read_token(file)
