"""What a page's markup refers to, and what its modules import."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

# Names an XML vocabulary; nothing is asked of it.
_XML_NAMESPACES = {"http://www.w3.org/2000/svg"}

_IMPORT = re.compile(
    r"""(?:^|\n)\s*(?:import|export)\b[^;'"]*?\bfrom\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)"""
)
_LOOKUP = re.compile(r"""(?:\belement|getElementById)\("([\w-]+)"\)""")


class Page(HTMLParser):
    """What the page's markup refers to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.controls: list[str] = []
        self.described: list[str] = []
        self.inline: dict[str, list[str]] = {"script": [], "style": []}
        self.policy = ""
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        self.references += [value for name, value in attrs if name in {"src", "href"} and value]
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.controls += [value for name, value in attrs if name in {"data-layer", "data-panel"} and value]
        pointers = {"aria-labelledby", "aria-describedby", "aria-controls", "list", "for"}
        self.described += [value for name, value in attrs if name in pointers and value]
        if tag == "meta" and named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named.get("content") or ""
        if tag in self.inline and "src" not in named:
            self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self.inline[self._inside].append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    @property
    def directives(self) -> dict[str, list[str]]:
        """The page's content security policy."""
        parts = (part.split() for part in self.policy.split(";"))
        return {name: values for name, *values in parts}


def page_of(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def hash_source(text: str) -> str:
    """Say how a policy allows an inline text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def imports_of(module: Path) -> list[str]:
    return [first or second for first, second in _IMPORT.findall(module.read_text(encoding="utf-8"))]


def looked_up(modules: list[Path]) -> set[str]:
    """The ids of elements that modules ask for."""
    return {name for module in modules for name in _LOOKUP.findall(module.read_text(encoding="utf-8"))}


def other_machines(path: Path) -> list[str]:
    """Addresses that a file names."""
    text = path.read_text(encoding="utf-8")
    for namespace in _XML_NAMESPACES:
        text = text.replace(namespace, "")
    # A quoted `//host` is an address without its scheme.
    return re.findall(r"\b(?:https?|wss?|ftp)://[^\s\"'`]*|[\"'`(]//\w[^\s\"'`]*", text)
