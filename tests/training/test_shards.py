"""What was written is read again; what is no data set is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.datasets import Joined, Labelled, ShardedWindows, write_manifest, write_shard
from training.samples import Window
from training.truth import Truth, TruthReadError, training_step

Samples = list[tuple[Window, Truth]]


def _write(folder: Path, samples: Samples, *, truth: bool = True) -> None:
    folder.mkdir()
    items = [Labelled(window, known if truth else None) for window, known in samples]
    write_shard(folder, 0, items[:2])
    write_shard(folder, 1, items[2:])
    write_manifest(folder, "made up", [2, 1], samples[0][0].size_px, about={"seed": 11}, truth=truth)


def test_windows_and_truth_come_back(small_samples: Samples, tmp_path: Path) -> None:
    _write(tmp_path / "data", small_samples)
    data = ShardedWindows(tmp_path / "data")
    assert len(data) == 3
    assert data.about == {"seed": 11}
    for index in (2, 0, 1):
        window, truth = small_samples[index]
        got, known = data[index], data.truth(index)
        for name in ("projections", "view_mask", "labels", "label_confidence"):
            assert np.array_equal(getattr(got, name), getattr(window, name))
        # A JPEG of quality 95: noise of some grey values, no shift.
        assert np.abs(got.crops.astype(int) - window.crops.astype(int)).mean() < 4.0
        assert known is not None
        assert np.array_equal(known.joints_local, truth.joints_local)
        assert known.vertices_local is not None
        with training_step(), pytest.raises(TruthReadError):
            _ = known.joints_local
    with pytest.raises(IndexError, match="has 3"):
        data[3]


def test_training_opens_no_file_of_truth(small_samples: Samples, tmp_path: Path) -> None:
    _write(tmp_path / "data", small_samples)
    for path in (tmp_path / "data").glob("truth-*"):
        path.write_bytes(b"not readable")
    data = ShardedWindows(tmp_path / "data")
    assert [data[index].frames for index in range(3)] == [2, 2, 2]
    with pytest.raises(ValueError, match="cannot be read"):
        data.truth(0)
    _write(tmp_path / "unknown", small_samples, truth=False)
    assert ShardedWindows(tmp_path / "unknown").truth(0) is None


def test_the_version_tells_windows_apart(small_samples: Samples, tmp_path: Path) -> None:
    _write(tmp_path / "data", small_samples)
    _write(tmp_path / "same", small_samples)
    _write(tmp_path / "other", small_samples[::-1])
    version = ShardedWindows(tmp_path / "data").version
    assert ShardedWindows(tmp_path / "same").version == version
    assert ShardedWindows(tmp_path / "other").version != version
    part = ShardedWindows(tmp_path / "data", 1, 3)
    assert part.version != version
    assert np.array_equal(part[0].labels, small_samples[1][0].labels)


def test_several_sources_are_one(small_samples: Samples, tmp_path: Path) -> None:
    _write(tmp_path / "data", small_samples)
    two_views = [(window.with_views([0, 2]), truth) for window, truth in small_samples]
    _write(tmp_path / "fewer", two_views)
    joined = Joined([ShardedWindows(tmp_path / "data"), ShardedWindows(tmp_path / "fewer")])
    assert len(joined) == 6
    assert joined.name == "made up + made up"
    assert joined[4].views == 3
    assert joined[4].view_mask[:, 2].max() == 0.0
    assert np.array_equal(joined[4].labels[:, :2], two_views[1][0].labels)
    known = joined.truth(4)
    assert known is not None
    assert np.array_equal(known.joints_local, two_views[1][1].joints_local)
    with pytest.raises(ValueError, match="at least one"):
        Joined([])


def test_what_is_no_data_set_is_refused(small_samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finished"):
        ShardedWindows(tmp_path)
    _write(tmp_path / "data", small_samples)
    manifest = tmp_path / "data" / "manifest.json"
    content = json.loads(manifest.read_text())
    for change, reason in (
        ({"schema": "usthand.windows/9"}, "newer"),
        ({"schema": 3}, "reads usthand.windows/1"),
        ({"shards": []}, "no windows"),
    ):
        manifest.write_text(json.dumps({**content, **change}))
        with pytest.raises(ValueError, match=reason):
            ShardedWindows(tmp_path / "data")
    manifest.write_text(json.dumps(content))
    shard = tmp_path / "data" / "windows-00000.npz"
    whole = shard.read_bytes()
    # Copied in part, and damaged on the way.
    for damaged in (whole[: len(whole) // 2], whole[:1000] + bytes(500) + whole[1500:], b""):
        shard.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"windows-00000\.npz: cannot be read .*copy it again"):
            _ = ShardedWindows(tmp_path / "data")[0]
    manifest.write_text("{")
    with pytest.raises(ValueError, match="no readable manifest"):
        ShardedWindows(tmp_path / "data")
    with pytest.raises(ValueError, match="all or none"):
        write_shard(tmp_path, 0, [Labelled(*small_samples[0]), Labelled(small_samples[1][0])])
    with pytest.raises(ValueError, match="at least one"):
        write_shard(tmp_path, 0, [])
