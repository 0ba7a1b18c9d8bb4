"""The headset page's files: complete, with hand models as published, and loading nothing from elsewhere."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.server.viewer.markup import Page, hash_source, imports_of, looked_up, other_machines, page_of

ROOT = Path(__file__).parents[2]
WEB = ROOT / "client_demo" / "web"
VIEWER = ROOT / "server" / "viewer"
PAGE = WEB / "index.html"
MODULES = sorted((WEB / "js").rglob("*.js"))
OWN_FILES = [PAGE, *sorted(WEB.glob("*.css")), *MODULES]


def _relative(path: Path) -> str:
    return path.relative_to(WEB).as_posix()


def _beside(reference: str) -> Path:
    """Find the file behind a reference of the page, which is served at `client/` beside `viewer/`."""
    inside = reference.removeprefix("./")
    return VIEWER / inside.removeprefix("../viewer/") if inside.startswith("../viewer/") else WEB / inside


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(PAGE)


@pytest.fixture(scope="module")
def import_map(page: Page) -> dict[str, str]:
    (text,) = page.inline["script"]
    imports: dict[str, str] = json.loads(text)["imports"]
    return imports


def _resolved(name: str, module: Path, import_map: dict[str, str]) -> Path:
    if name in import_map:
        return _beside(import_map[name])
    for prefix, place in import_map.items():
        if prefix.endswith("/") and name.startswith(prefix):
            return _beside(place) / name.removeprefix(prefix)
    assert name.startswith("."), f"{name}: a bare name needs an entry in the import map"
    return module.parent / name


@pytest.mark.parametrize("path", OWN_FILES, ids=_relative)
def test_no_file_names_another_machine(path: Path) -> None:
    # What is shown to people as an example is a form without a name, or a private address.
    named = re.compile(r"//(?!192\.168\.)[\w-]+\.[\w-]")
    assert [address for address in other_machines(path) if named.search(address)] == []


def test_page_refers_to_files_that_exist(page: Page) -> None:
    assert page.references
    assert [reference for reference in page.references if not _beside(reference).is_file()] == []
    assert page.handlers == []
    assert page.inline["style"] == []


def test_policy_allows_the_import_map_and_streams_from_elsewhere_and_nothing_more(page: Page) -> None:
    assert page.directives["default-src"] == ["'self'"]
    assert page.directives["script-src"] == ["'self'", hash_source(page.inline["script"][0])]
    assert page.directives["connect-src"] == ["'self'", "ws:", "wss:", "http:", "https:"]


@pytest.mark.parametrize("module", MODULES, ids=_relative)
def test_imports_lead_to_files(module: Path, import_map: dict[str, str]) -> None:
    for name in imports_of(module):
        assert _resolved(name, module, import_map).is_file(), f"{_relative(module)} imports {name}"


def test_every_module_is_reached_from_the_page(import_map: dict[str, str]) -> None:
    found: set[Path] = set()
    waiting = [WEB / "js" / "main.js"]
    while waiting:
        module = waiting.pop().resolve()
        if module not in found:
            found.add(module)
            waiting += [_resolved(name, module, import_map) for name in imports_of(module)]
    assert {module.resolve() for module in MODULES} <= found
    # What is shared with the viewer must not need the viewer's page.
    for module in found:
        assert module.is_relative_to(WEB) or looked_up([module]) == set(), module


def test_elements_that_scripts_look_up_are_on_the_page(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    wanted = looked_up(MODULES) | {"enter-ar", "enter-vr"}
    assert wanted <= set(page.ids)
    assert set(page.ids) - wanted == set()


def test_layers_on_the_page_are_those_of_the_hands(page: Page) -> None:
    text = (WEB / "js" / "scene" / "tracked_hands.js").read_text(encoding="utf-8")
    layers = re.search(r"@typedef \{\{(.*?)\}\} Layers", text)
    assert layers
    assert set(page.controls) == set(re.findall(r"(\w+): boolean", layers[1]))


def test_hand_models_are_the_published_ones() -> None:
    lines = (WEB / "hands" / "CHECKSUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    present = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (WEB / "hands").iterdir()
        if path.name != "CHECKSUMS"
    }
    assert present == listed
    assert set(listed) == {"LICENSE", "left.glb", "right.glb"}
