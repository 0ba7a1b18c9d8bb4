"""What can be checked of the Unity package without Unity."""

from __future__ import annotations

import json
import re

from tests.client_demo.conftest import UNITY


def shown():
    """Files and folders that Unity imports: all but those in folders whose names end in `~`."""
    for path in sorted(UNITY.rglob("*")):
        parts = path.relative_to(UNITY).parts
        if not any(part.endswith("~") or part.startswith(".") for part in parts):
            yield path


def test_the_engine_side_fits_unitys_documented_api(compile_cs):
    folders = ["Runtime/Core", "Runtime/XRHands", "Samples~/HandScene", "Tests~/Stubs"]
    compile_cs([source for folder in folders for source in sorted((UNITY / folder).glob("*.cs"))], "library")


def test_the_core_knows_nothing_of_unity():
    for source in (UNITY / "Runtime" / "Core").glob("*.cs"):
        assert "UnityEngine" not in source.read_text(encoding="utf-8"), source.name
    core = json.loads((UNITY / "Runtime" / "Core" / "UstHand.Core.asmdef").read_text(encoding="utf-8"))
    assert core["noEngineReferences"] is True


def test_every_asset_has_its_own_id():
    guids = []
    for path in shown():
        if path.suffix != ".meta":
            meta = path.with_name(path.name + ".meta")
            assert meta.is_file(), f"{path.relative_to(UNITY)} has no .meta: Unity ignores it in an installed package"
            guids.append(re.search(r"^guid: ([0-9a-f]{32})$", meta.read_text(encoding="utf-8"), re.M)[1])
    assert len(set(guids)) == len(guids)


def test_no_id_is_left_behind():
    for meta in UNITY.rglob("*.meta"):
        assert meta.with_suffix("").exists(), meta.relative_to(UNITY)


def test_the_manifest_names_what_is_there():
    manifest = json.loads((UNITY / "package.json").read_text(encoding="utf-8"))
    assert manifest["name"] == "com.usthand.client"
    assert all((UNITY / sample["path"]).is_dir() for sample in manifest["samples"])
    assemblies = [json.loads(path.read_text(encoding="utf-8")) for path in UNITY.rglob("*.asmdef")]
    names = {assembly["name"] for assembly in assemblies} | {"Unity.XR.Hands"}
    assert all(set(assembly["references"]) <= names for assembly in assemblies)
