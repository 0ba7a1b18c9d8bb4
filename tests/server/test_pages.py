from __future__ import annotations

import re

import pytest

ELSEWHERE = re.compile(r"(?:src|href|url|import|from|fetch)\s*[=(]?\s*[\"'(]\s*(?:https?:)?//", re.IGNORECASE)


def test_no_page_loads_anything_from_elsewhere(client):
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.status_code == 200
        assert page.headers["content-type"].startswith("text/html")
        assert not ELSEWHERE.search(page.text), path
        assert "default-src 'self'" in page.headers["content-security-policy"]


def test_the_docs_page_shows_what_openapi_lists(client):
    assert "openapi.json" in client.get("/docs").text
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/healthz", "/readyz", "/metrics", "/api/v1/hands/latest", "/api/v1/skeleton", "/api/v1/cameras",
        "/api/v1/cameras/{camera_id}/preview.jpg", "/api/v1/cameras/{camera_id}/trust", "/api/v1/calibration",
        "/api/v1/calibration/history", "/api/v1/calibration/marks", "/api/v1/calibration/rollback",
        "/api/v1/calibration/session", "/api/v1/calibration/session/accept", "/api/v1/calibration/session/solve",
        "/api/v1/calibration/session/pictures/{camera_id}.jpg",
        "/api/v1/engine", "/api/v1/stats", "/api/v1/schema/stream.json", "/api/v1/schema/asyncapi.json",
    }  # fmt: skip
    for path, methods in paths.items():
        for method, route in methods.items():
            assert route.get("description"), (method, path)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_what_a_page_links_to_is_served_and_its_icon_is_among_it(client, path):
    page = client.get(path).text
    # Without one, a browser asks for /favicon.ico.
    assert '<link rel="icon" href="viewer/favicon.svg"' in page
    links = re.findall(r'(?:src|href)="([^"#]+)"', page)
    for link in links:
        assert client.get(f"/{link.lstrip('./')}").status_code == 200, link


@pytest.mark.parametrize("path", ["/", "/docs", "/viewer/js/main.js", "/client/", "/client/js/main.js"])
def test_no_browser_mixes_files_of_two_versions(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
    if path.startswith(("/viewer", "/client")):
        same = client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (same.status_code, same.headers["cache-control"]) == (304, "no-cache")


def test_nothing_outside_the_viewers_folder_is_served(client):
    for path in ("/viewer/../app.py", "/viewer/%2e%2e/app.py", "/viewer/..%2fapp.py"):
        assert client.get(path).status_code == 404


def test_the_frameworks_own_pages_are_off(client):
    assert client.get("/redoc").status_code == 404
    assert client.get("/docs/oauth2-redirect").status_code == 404
