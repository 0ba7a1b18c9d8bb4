"""The viewer's files: complete, unchanged where vendored, and naming no other machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

VIEWER = Path(__file__).parents[3] / "server" / "viewer"
VENDOR = VIEWER / "vendor"
PAGE = VIEWER / "index.html"
OWN_MODULES = sorted((VIEWER / "js").rglob("*.js"))
OWN_FILES = [PAGE, *sorted(VIEWER.glob("*.css")), *sorted(VIEWER.glob("*.svg")), *OWN_MODULES]
VENDORED_MODULES = sorted(VENDOR.rglob("*.js"))

# Names an XML vocabulary; nothing is asked of it.
XML_NAMESPACES = {"http://www.w3.org/2000/svg"}

IMPORT = re.compile(
    r"""(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)"""
)


class Page(HTMLParser):
    """What the page's markup refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.inline_scripts: list[str] = []
        self.policy = ""
        self._script: dict[str, str | None] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.references += [value for name, value in attrs if name in {"src", "href"} and value]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named.get("content") or ""
        if tag == "script":
            self._script = named

    def handle_data(self, data: str) -> None:
        if self._script is not None and "src" not in self._script:
            self.inline_scripts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(PAGE.read_text(encoding="utf-8"))


def _relative(path: Path) -> str:
    return path.relative_to(VIEWER).as_posix()


def _imports(module: Path) -> list[str]:
    return [first or second for first, second in IMPORT.findall(module.read_text(encoding="utf-8"))]


def _served(reference: str) -> Path:
    """Find the file behind a reference of the page, which is served at `/` while its files are under `/viewer/`."""
    assert reference.removeprefix("./").startswith("viewer/"), f"{reference} is not under viewer/"
    return VIEWER / reference.removeprefix("./").removeprefix("viewer/")


@pytest.mark.parametrize("path", OWN_FILES, ids=_relative)
def test_no_file_of_ours_names_another_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for namespace in XML_NAMESPACES:
        text = text.replace(namespace, "")
    # A quoted `//host` is an address without its scheme.
    assert re.findall(r"\b(?:https?|wss?|ftp)://[^\s\"'`]*|[\"'`(]//\w[^\s\"'`]*", text) == []


def test_page_refers_to_files_that_exist(page: Page) -> None:
    assert page.references
    assert [reference for reference in page.references if not _served(reference).is_file()] == []


def test_page_has_no_inline_code_but_its_import_map(page: Page) -> None:
    assert page.handlers == []
    (import_map,) = page.inline_scripts
    imports = json.loads(import_map)["imports"]
    assert set(imports) == {"three"}
    assert _served(imports["three"]).is_file()


def test_policy_allows_the_import_map_and_otherwise_only_the_service(page: Page) -> None:
    digest = base64.b64encode(hashlib.sha256(page.inline_scripts[0].encode()).digest()).decode()
    directives = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    assert directives["default-src"] == "'self'"
    assert directives["script-src"].split() == ["'self'", f"'sha256-{digest}'"]


@pytest.mark.parametrize("module", [*OWN_MODULES, *VENDORED_MODULES], ids=_relative)
def test_imports_lead_to_files(module: Path) -> None:
    for name in _imports(module):
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
            names = [name if name != "three" else None for name in _imports(module)]
            waiting += [module.parent / name if name else VENDOR / "three" / "three.module.js" for name in names]
    assert {path.resolve() for path in [*OWN_MODULES, *VENDORED_MODULES]} == found


def test_elements_that_scripts_look_up_are_on_the_page(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    lookup = re.compile(r"""(?:\belement|getElementById)\("([\w-]+)"\)""")
    wanted = {name for module in OWN_MODULES for name in lookup.findall(module.read_text(encoding="utf-8"))}
    assert wanted
    assert wanted <= set(page.ids)


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
