"""Plans on disk: found where they fit, and refused with what differs where they do not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.backends.plans import ANY, FOLDER_VARIABLE, SCHEMA, PlanKey, fitting_key, plan_folder, read_plan, write_plan
from engine.errors import EngineError

KEY = PlanKey(
    model_sha256="a" * 64,
    gpu="NVIDIA H100",
    compute_capability="9.0",
    driver="580.65.06",
    library="tensorrt 11.4.0",
    precision="fp16",
    plugin="aot",
    kernels="0123456789ab",
    views=4,
    hands=1,
)
MODEL = Path("lite.onnx")


def test_a_plan_comes_back(tmp_path: Path) -> None:
    path = write_plan(tmp_path / "new" / "plans", KEY, b"a plan", {"model": "lite-1"})
    plan = read_plan(path.parent, KEY, MODEL)
    assert (plan.key, plan.path, plan.content) == (KEY, path, b"a plan")
    assert {entry.suffix for entry in path.parent.iterdir()} == {".plan", ".json"}
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"gpu": "NVIDIA L4"}, "GPU NVIDIA H100, here it is NVIDIA L4"),
        ({"compute_capability": "8.9"}, r"compute capability 9\.0, here it is 8\.9"),
        ({"driver": "590.10"}, r"driver 580\.65\.06, here it is 590\.10"),
        ({"library": "tensorrt 11.5.0"}, r"library tensorrt 11\.4\.0, here it is tensorrt 11\.5\.0"),
        ({"model_sha256": "b" * 64}, "model aaaaaaaaaaaa, here it is bbbbbbbbbbbb"),
        ({"kernels": "ba9876543210"}, "kernels 0123456789ab, here it is ba9876543210"),
        ({"precision": "bf16"}, "precision fp16, here it is bf16"),
        ({"plugin": "topk"}, "kNN plugin aot, here it is topk"),
    ],
)
def test_a_plan_that_does_not_fit_is_refused_with_both_values(
    tmp_path: Path, change: dict[str, str], said: str
) -> None:
    write_plan(tmp_path, KEY, b"a plan", {})
    remedy = "run `usthand build-plan lite.onnx --views 4 --hands 1"
    with pytest.raises(EngineError, match=f"fits: .*was built for .*{said}; {remedy}"):
        read_plan(tmp_path, replace(KEY, **change), MODEL)
    with pytest.raises(EngineError, match=f"was built for .*{said}; run `usthand build-plan lite.onnx"):
        fitting_key(tmp_path, [replace(KEY, **change, views=1)], MODEL)


def test_the_nearest_plan_is_the_one_that_is_told(tmp_path: Path) -> None:
    write_plan(tmp_path, replace(KEY, gpu="NVIDIA L4", driver="1", library="tensorrt 10"), b"far", {})
    near = write_plan(tmp_path, replace(KEY, driver="590.10"), b"near", {})
    write_plan(tmp_path, replace(KEY, gpu="NVIDIA A10", driver="2"), b"farther", {})
    with pytest.raises(EngineError, match=f"{near.name} was built for driver"):
        read_plan(tmp_path, KEY, MODEL)


def test_other_sizes_are_not_taken_for_it(tmp_path: Path) -> None:
    write_plan(tmp_path, KEY, b"a plan", {})
    with pytest.raises(EngineError, match=r"no TensorRT plan for 8 views and 2 hands in .*; run .*--views 8 --hands 2"):
        read_plan(tmp_path, replace(KEY, views=8, hands=2), MODEL)
    assert fitting_key(tmp_path, [replace(KEY, views=1, hands=1)], MODEL) == replace(KEY, views=1, hands=1)


def test_a_rig_wants_a_plan_for_each_number_of_hands(tmp_path: Path) -> None:
    second = replace(KEY, precision="fp32")
    keys = [KEY, second]
    write_plan(tmp_path, KEY, b"one", {})
    for hands in (1, 2):
        write_plan(tmp_path, replace(second, hands=hands), b"other", {})
    assert fitting_key(tmp_path, keys, MODEL, 4) == KEY
    assert fitting_key(tmp_path, keys, MODEL, 4, 2) == second
    with pytest.raises(EngineError, match=r"for 4 views and 3 hands in .* --hands 3 --precision fp32`"):
        fitting_key(tmp_path, keys, MODEL, 4, 3)


def test_a_card_without_its_plan_fits_nothing(tmp_path: Path) -> None:
    write_plan(tmp_path, KEY, b"a plan", {}).unlink()
    for views in (None, 4):
        with pytest.raises(EngineError, match="no TensorRT plan"):
            fitting_key(tmp_path, [KEY], MODEL, views)


def test_a_plan_of_a_graph_that_was_made_otherwise_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    card = write_plan(tmp_path, KEY, b"a plan", {}).with_suffix(".json")
    card.write_text(card.read_text().replace(SCHEMA, "usthand.plan/1"))
    with pytest.raises(EngineError, match="no TensorRT plan for 4 views"):
        read_plan(tmp_path, KEY, MODEL)


@pytest.mark.parametrize("content", [b"", b"a pla", b"b plan"])
def test_a_plan_that_was_cut_short_or_changed_is_refused(tmp_path: Path, content: bytes) -> None:
    write_plan(tmp_path, KEY, b"a plan", {}).write_bytes(content)
    with pytest.raises(EngineError, match=r"is damaged or was changed: its sha256 is .*; run `usthand build-plan"):
        read_plan(tmp_path, KEY, MODEL)


def test_a_plan_that_is_gone_is_said(tmp_path: Path) -> None:
    write_plan(tmp_path, KEY, b"a plan", {}).unlink()
    with pytest.raises(EngineError, match=r"\.plan: cannot be read \(No such file or directory\); run `usthand"):
        read_plan(tmp_path, KEY, MODEL)


@pytest.mark.parametrize(
    "card", ["", "[]", "null", '{"schema": "usthand.plan/1"}', '{"schema": "usthand.plan/1", "key": {"views": 1}}']
)
def test_what_is_no_card_of_a_plan_is_as_if_it_were_not_there(tmp_path: Path, card: str) -> None:
    (tmp_path / "odd.json").write_text(card)
    with pytest.raises(EngineError, match=r"no TensorRT plan for 4 views and 1 hands in [^;]*; run"):
        read_plan(tmp_path, KEY, MODEL)


def test_a_key_that_was_changed_in_the_card_does_not_change_the_plan(tmp_path: Path) -> None:
    path = write_plan(tmp_path, replace(KEY, gpu="NVIDIA L4"), b"a plan", {}).with_suffix(".json")
    card = json.loads(path.read_text())
    card["sha256"] = "0" * 64
    card["key"]["gpu"] = KEY.gpu
    path.write_text(json.dumps(card))
    with pytest.raises(EngineError, match="is damaged or was changed"):
        read_plan(tmp_path, KEY, MODEL)


def test_a_plan_for_any_gpu_of_its_kind_fits_all_of_them(tmp_path: Path) -> None:
    write_plan(tmp_path, replace(KEY, gpu=ANY, driver=ANY), b"a plan", {})
    assert read_plan(tmp_path, KEY, MODEL).content == b"a plan"
    with pytest.raises(EngineError, match="compute capability"):
        read_plan(tmp_path, replace(KEY, compute_capability="8.9"), MODEL)


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_plan(tmp_path, KEY, b"a plan", {})
    assert not list(tmp_path.iterdir())


def test_the_folder_is_chosen_or_named_or_the_users_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    monkeypatch.setattr("engine.backends.plans.sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert plan_folder() == tmp_path / "usthand" / "plans"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert plan_folder() == tmp_path / ".cache" / "usthand" / "plans"
    monkeypatch.setattr("engine.backends.plans.sys.platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert plan_folder() == tmp_path / "local" / "usthand" / "plans"
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "named"))
    assert plan_folder() == tmp_path / "named"
    assert plan_folder(tmp_path / "chosen") == tmp_path / "chosen"
