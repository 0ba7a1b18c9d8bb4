"""What can be checked of the Unreal plugin without Unreal."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from tests.client_demo.conftest import UNREAL

SOURCE = UNREAL / "Source"
INCLUDE = re.compile(r'#include "([^"]+)"')


@pytest.fixture(scope="module")
def stub_headers(tmp_path_factory):
    """A folder with a header for each of Unreal's that the plugin includes: all stand for the stubs."""
    folder = tmp_path_factory.mktemp("stubs")
    own = {path.name for path in SOURCE.rglob("*.h")}
    for source in (*SOURCE.rglob("*.h"), *SOURCE.rglob("*.cpp")):
        for name in INCLUDE.findall(source.read_text(encoding="utf-8")):
            if name.rpartition("/")[2] in own:
                continue
            header = folder / name
            header.parent.mkdir(parents=True, exist_ok=True)
            stub = "" if name.endswith(".generated.h") else '#include "UnrealStubs.h"\n'
            header.write_text(f"#pragma once\n{stub}", encoding="utf-8")
    return folder


def check_syntax(gxx, stub_headers, source):
    folders = [
        stub_headers,
        UNREAL / "Tests" / "Stubs",
        SOURCE / "USTHandCore" / "Public",
        SOURCE / "USTHandLiveLink" / "Public",
        SOURCE / "USTHandLiveLink" / "Private",
    ]
    flags = ["-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Wshadow", "-fno-exceptions", "-fno-rtti"]
    includes = [part for folder in folders for part in ("-I", str(folder))]
    return subprocess.run([gxx, *flags, *includes, str(source)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", sorted(SOURCE.glob("USTHandLiveLink/Private/*.cpp")), ids=lambda path: path.name)
def test_the_live_link_side_fits_unreals_documented_api(gxx, stub_headers, source):
    done = check_syntax(gxx, stub_headers, source)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_stubs_find_mistakes(gxx, stub_headers, tmp_path):
    source = SOURCE / "USTHandLiveLink" / "Private" / "USTHandLiveLinkSource.cpp"
    text = source.read_text(encoding="utf-8")
    for right, wrong in {"SetBoneParents(Parents)": "SetBoneParents(Names)", "OnBinaryMessage": "OnBinary"}.items():
        assert right in text
        spoilt = tmp_path / source.name
        spoilt.write_text(text.replace(right, wrong), encoding="utf-8")
        assert check_syntax(gxx, stub_headers, spoilt).returncode != 0, wrong


def test_the_core_includes_nothing_of_unreal():
    for source in (SOURCE / "USTHandCore").rglob("*.[hc]*"):
        if source.suffix in (".h", ".cpp") and not source.name.endswith("Module.cpp"):
            names = INCLUDE.findall(source.read_text(encoding="utf-8"))
            assert all(name.startswith("USTHand/") for name in names), source.name


def test_the_descriptor_names_what_is_there():
    descriptor = json.loads((UNREAL / "USTHand.uplugin").read_text(encoding="utf-8"))
    for module in descriptor["Modules"]:
        build = SOURCE / module["Name"] / f"{module['Name']}.Build.cs"
        assert f"class {module['Name']} : ModuleRules" in build.read_text(encoding="utf-8")
        registered = [
            f"IMPLEMENT_MODULE({name}, {module['Name']})" for name in ("FDefaultModuleImpl", "FUSTHandLiveLinkModule")
        ]
        sources = "".join(path.read_text(encoding="utf-8") for path in (SOURCE / module["Name"]).rglob("*.cpp"))
        assert any(each in sources for each in registered)
