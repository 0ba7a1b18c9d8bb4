"""Runs JavaScript modules under Node: what a page's modules do that need no browser."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

_VIEWER = Path(__file__).parents[3] / "server" / "viewer"

NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed; it is only needed to test the pages")

Run = Callable[..., Any]

# What JSON cannot say is named: bytes, integers beyond a double's, numbers that are not finite.
_HARNESS = """
const name = (_, value) => {
  if (typeof value === "bigint") return { bigint: value.toString() };
  if (value instanceof Uint8Array) return { bin: Buffer.from(value).toString("hex") };
  if (ArrayBuffer.isView(value)) return [...value];
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (typeof value === "number" && !Number.isFinite(value)) return { number: String(value) };
  return value;
};
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const given = JSON.parse(Buffer.concat(chunks).toString());
const run = async (given) => { %s };
let answer;
try { answer = { value: await run(given) }; } catch (error) { answer = { error: `${error.name}: ${error.message}` }; }
process.stdout.write(JSON.stringify(answer, name));
"""


def add_packages(folder: Path, *, viewer: bool = False) -> None:
    """Put into a folder what the pages' import maps name: three, and the viewer's modules for the headset page."""
    packages = folder / "node_modules"
    shutil.copytree(_VIEWER / "vendor" / "three", packages / "three")
    exports = {".": "./three.module.js", "./OrbitControls.js": "./OrbitControls.js"}
    (packages / "three" / "package.json").write_text(json.dumps({"type": "module", "exports": exports}))
    if viewer:
        shutil.copytree(_VIEWER / "js", packages / "viewer")
        (packages / "viewer" / "package.json").write_text('{"type": "module"}')


def modules_in(folder: Path, **sources: Path) -> Run:
    """Copy folders of modules into a folder and return what runs code beside them.

    Args:
        folder: An empty one.
        sources: Name of each copy, and what is copied.
    """
    for name, source in sources.items():
        shutil.copytree(source, folder / name)
    # A browser takes the modules as such by their script tag, Node by this file.
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")

    def run(body: str, given: Any = None) -> Any:
        """Run the body of an async function of `given`; a JavaScript error becomes a ValueError."""
        assert NODE is not None
        done = subprocess.run(
            [NODE, "--input-type=module", "-e", _HARNESS % body],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=60,
            check=True,
        )
        answer = json.loads(done.stdout)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer.get("value")

    return run
