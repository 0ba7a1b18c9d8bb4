"""The viewer's files: complete, unchanged where vendored, and naming no other machine."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.server.viewer.markup import Page, hash_source, imports_of, looked_up, other_machines, page_of

VIEWER = Path(__file__).parents[3] / "server" / "viewer"
VENDOR = VIEWER / "vendor"
PAGE = VIEWER / "index.html"
ENTER = VIEWER / "enter.html"
OWN_MODULES = sorted((VIEWER / "js").rglob("*.js"))
OWN_FILES = [PAGE, ENTER, *sorted(VIEWER.glob("*.css")), *sorted(VIEWER.glob("*.svg")), *OWN_MODULES]
VENDORED_MODULES = sorted(VENDOR.rglob("*.js"))


@pytest.fixture(scope="module")
def page() -> Page:
    return page_of(PAGE)


def _relative(path: Path) -> str:
    return path.relative_to(VIEWER).as_posix()


def _served(reference: str) -> Path:
    """Find the file behind a reference of the page, which is served at `/` while its files are under `/viewer/`."""
    assert reference.removeprefix("./").startswith("viewer/"), f"{reference} is not under viewer/"
    return VIEWER / reference.removeprefix("./").removeprefix("viewer/")


@pytest.mark.parametrize("path", OWN_FILES, ids=_relative)
def test_no_file_of_ours_names_another_machine(path: Path) -> None:
    assert other_machines(path) == []


def test_page_refers_to_files_that_exist(page: Page) -> None:
    assert page.references
    assert [reference for reference in page.references if not _served(reference).is_file()] == []


def test_page_has_no_inline_code_but_its_import_map(page: Page) -> None:
    assert page.handlers == []
    assert page.inline["style"] == []
    (import_map,) = page.inline["script"]
    imports = json.loads(import_map)["imports"]
    assert set(imports) == {"three"}
    assert _served(imports["three"]).is_file()


def test_policy_allows_the_import_map_and_otherwise_only_the_service(page: Page) -> None:
    assert page.directives["default-src"] == ["'self'"]
    assert page.directives["script-src"] == ["'self'", hash_source(page.inline["script"][0])]
    assert "connect-src" not in page.directives


def test_the_page_that_asks_for_the_token_loads_nothing() -> None:
    enter = page_of(ENTER)
    # Its icon is in it too, or a browser would ask for /favicon.ico.
    (icon,) = enter.references
    kind, _, drawing = icon.partition(",")
    assert kind == "data:image/svg+xml"
    same = (VIEWER / "favicon.svg").read_text(encoding="utf-8").strip().replace('"', "'")
    assert unquote(drawing) == same
    assert enter.directives["img-src"] == ["data:"]
    assert enter.handlers == []
    (script,), (style,) = enter.inline["script"], enter.inline["style"]
    assert enter.directives["default-src"] == ["'none'"]
    assert enter.directives["script-src"] == [hash_source(script)]
    assert enter.directives["style-src"] == [hash_source(style)]
    assert enter.directives["connect-src"] == ["'self'"]
    assert set(re.findall(r'getElementById\("([\w-]+)"\)', script)) <= set(enter.ids)


@pytest.mark.parametrize("module", [*OWN_MODULES, *VENDORED_MODULES], ids=_relative)
def test_imports_lead_to_files(module: Path) -> None:
    for name in imports_of(module):
        if name != "three":
            assert name.startswith("."), f"{name}: a bare name needs an entry in the import map"
            assert (module.parent / name).is_file(), f"{_relative(module)} imports {name}"


def test_every_module_is_reached_from_the_page() -> None:
    found: set[Path] = set()
    waiting = [VIEWER / "js" / "main.js"]
    while waiting:
        module = waiting.pop().resolve()
        if module not in found:
            found.add(module)
            names = [name if name != "three" else None for name in imports_of(module)]
            waiting += [module.parent / name if name else VENDOR / "three" / "three.module.js" for name in names]
    assert {path.resolve() for path in [*OWN_MODULES, *VENDORED_MODULES]} == found


def test_pure_modules_know_neither_the_page_nor_three() -> None:
    pure = [module for module in OWN_MODULES if "Pure" in module.read_text(encoding="utf-8").split("*/")[0]]
    assert len(pure) >= 10
    for module in pure:
        code = re.sub(r"/\*.*?\*/|//[^\n]*", "", module.read_text(encoding="utf-8"), flags=re.DOTALL)
        assert re.findall(r"\b(?:document|window|fetch|localStorage)\b", code) == [], module.name
        assert all(
            (module.parent / name).resolve() in {each.resolve() for each in OWN_MODULES} for name in imports_of(module)
        )


def test_elements_that_scripts_look_up_are_on_the_page(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    wanted = looked_up(OWN_MODULES)
    assert wanted
    assert wanted <= set(page.ids)


def test_remarks_lie_below_the_tools_however_many_rows_these_take() -> None:
    markup = PAGE.read_text(encoding="utf-8")
    box = markup[markup.index('<div class="over">') : markup.index('<canvas id="canvas"')]
    assert 0 < box.index('id="tools"') < box.index('class="remarks"')
    looks = (VIEWER / "viewer.css").read_text(encoding="utf-8")
    rules = re.findall(r"\.(?:tools|remarks) \{([^}]*)\}", looks)
    assert len(rules) >= 2
    assert [rule for rule in rules if re.search(r"\b(?:position|top|inset):", rule)] == []


def test_what_elements_point_at_is_on_the_page(page: Page) -> None:
    assert page.described
    assert set(page.described) <= set(page.ids)


def test_vendored_files_are_the_published_ones() -> None:
    lines = (VENDOR / "CHECKSUMS").read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines)}
    present = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name != "CHECKSUMS"
    }
    assert present == listed
    assert "three/LICENSE" in present


@pytest.mark.parametrize("module", VENDORED_MODULES, ids=_relative)
def test_vendored_modules_make_no_request_by_themselves(module: Path) -> None:
    text = re.sub(r"/\*.*?\*/|(?<![:'\"])//[^\n]*", "", module.read_text(encoding="utf-8"), flags=re.DOTALL)
    # Loaders may fetch what they are told to; the page tells none. A quoted address would be a request of three's own.
    addresses = set(re.findall(r"[\"'`](?:https?:)?//[^\"'`]+", text))
    assert {address.strip("\"'`") for address in addresses} <= {"http://www.w3.org/1999/xhtml"}
    assert re.findall(r"\b(?:XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\b", text) == []
