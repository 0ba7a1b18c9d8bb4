"""What is staged for a GPU: crops can be sampled from it as the CPU samples them, and everything lies in its place."""

from __future__ import annotations

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx")

from engine.backends import NetworkOutputs, staging
from engine.backends.base import READ_OUTPUTS
from engine.backends.packing import ALIGNMENT, MOST_SCALE, Upload, pack, result_packing, unpack_result, upload_packing
from engine.backends.pictures import PictureInputs, check_pictures
from engine.backends.staging import Locked, Stager
from engine.backends.trial import trial_inputs
from engine.errors import EngineError
from engine.kernels.places import PLACE, SOURCE_ALIGNMENT, nodes_along
from tests.engine.backends.sampling import gather, sampled_crop
from tests.engine.backends.support import CARD, OUTPUTS

SIZE_PX = CARD.input_px


def picture(width: int, height: int, seed: int, grain_px: int = 16) -> NDArray[np.uint8]:
    """A smooth picture, so that where it is sampled is seen in what comes out."""
    coarse = np.random.default_rng(seed).integers(
        40, 256, (height // grain_px + 1, width // grain_px + 1, 3), dtype=np.uint8
    )
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def nodes_at(center: tuple[float, float], scale: float, turn: float = 0.4) -> NDArray[np.float32]:
    """Nodes of a crop about a place, `scale` picture pixels a crop pixel."""
    along = np.arange(nodes_along(SIZE_PX)) * 16.0 - (SIZE_PX - 1) / 2
    x, y = np.meshgrid(along, along)
    turned = np.stack([np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y], axis=-1)
    return (turned * scale + center + 0.3).astype(np.float32)


def direct(image: NDArray[np.uint8], nodes: NDArray[np.float32], mirrored: bool) -> NDArray[np.uint8]:
    """A crop straight out of a whole picture `(S, S, 3)` RGB, as `sample_crop` makes it."""
    to_nodes = np.array([[1 / 16, 0, 0], [0, 1 / 16, 0]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    columns, rows = cv2.split(cv2.warpAffine(nodes, to_nodes, (SIZE_PX, SIZE_PX), flags=flags))
    sampled = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)[..., ::-1]
    return np.asarray(sampled[:, ::-1] if mirrored else sampled, np.uint8)


def step(hands: int, pictures: list[NDArray[np.uint8] | None], nodes: NDArray[np.float32]) -> PictureInputs:
    trial = trial_inputs(CARD, hands, len(pictures))
    mask = np.repeat(np.array([[image is not None for image in pictures]], np.float32), hands, axis=0)
    return PictureInputs(
        pictures=pictures,
        nodes=nodes,
        mirrored=np.arange(hands) % 2 == 1,
        projections=trial.projections,
        view_mask=mask,
        noise=trial.noise,
        state=trial.state,
        state_valid=trial.state_valid,
    )


def in_place(image: NDArray[np.uint8]) -> int:
    """Every picture is locked."""
    return int(image.ctypes.data)


def elsewhere(_image: NDArray[np.uint8]) -> None:
    """None is."""


def staged(inputs: PictureInputs, locked: Locked = elsewhere) -> tuple[Upload, NDArray[np.uint8], NDArray[np.uint8]]:
    """What lies on the host, and what has then come to the GPU."""
    check_pictures(inputs, CARD)
    upload = upload_packing(CARD, *inputs.view_mask.shape)
    # Whatever was in the buffers before must not matter.
    buffer, there = (np.full(upload.size, 0xA5, np.uint8) for _ in range(2))
    Stager(upload, buffer, buffer.ctypes.data, locked).stage(inputs)
    there[: upload.arrays.size] = buffer[: upload.arrays.size]
    gather(upload.arrays.sections["places"].of(there), there)
    return upload, buffer, there


def crops_of(upload: Upload, there: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """All crops `(B V, S, S, 3)`, of what has come to the GPU."""
    sections = upload.arrays.sections
    places = sections["places"].of(there)
    nodes = sections["nodes"].of(there).reshape(len(places), nodes_along(SIZE_PX), -1, 2)
    return np.stack([sampled_crop(there, place, at, SIZE_PX) for place, at in zip(places, nodes, strict=True)])


@pytest.mark.parametrize(("threads", "locked"), [(1, elsewhere), (4, elsewhere), (1, in_place)])
def test_crops_are_those_of_whole_pictures(threads: int, locked: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "cores", lambda: 2 * threads)
    monkeypatch.setattr(staging, "_MANY_BYTES", 1)
    pictures = [picture(200, 150, 1), picture(320, 97, 2), None, picture(64, 64, 3)]
    centers = [(90.0, 70.0), (3.0, 90.0), (0.0, 0.0), (60.0, -5.0)]
    nodes = np.stack([[nodes_at(center, 0.6 + hand, hand) for center in centers] for hand in (0, 1)])
    inputs = step(2, list(pictures), nodes)
    upload, buffer, there = staged(inputs, locked)
    crops = crops_of(upload, there).reshape(2, 4, SIZE_PX, SIZE_PX, 3)
    for hand in (0, 1):
        for view, image in enumerate(pictures):
            if image is None:
                assert not crops[hand, view].any()
                continue
            wanted = direct(image, nodes[hand, view], hand == 1)
            assert (wanted == 0).all(axis=-1).any() == (view in (1, 3))
            # cv2 rounds places to a 32nd of a pixel.
            assert np.abs(crops[hand, view].astype(int) - wanted).max() <= 3
    places = upload.arrays.sections["places"].of(buffer)
    assert places["valid"].tolist() == [1, 1, 0, 1, 1, 1, 0, 1]
    assert (3 * places["width"] * places["height"]).sum() < 2 * sum(one.size for one in pictures if one is not None)
    # What the GPU reads in place is not copied.
    assert (buffer[upload.arrays.size :] == 0xA5).all() == (locked is in_place)


def test_rows_have_the_place_in_a_piece_that_they_have_in_the_source() -> None:
    rng = np.random.default_rng(4)
    images: list[NDArray[np.uint8] | None] = []
    for view in range(8):
        # Rows of any length, that begin anywhere, and are further apart than they are long.
        wide = picture(int(rng.integers(40, 90)), 70, view)
        images.append(wide[int(rng.integers(0, 9)) :, int(rng.integers(0, 9)) : -int(rng.integers(1, 9))])
    nodes = np.stack([[nodes_at(tuple(rng.uniform(0, 60, 2)), rng.uniform(0.1, 1)) for _ in images] for _ in range(2)])
    upload, _, there = staged(step(2, images, nodes), in_place)
    taken = np.full(upload.size // SOURCE_ALIGNMENT, -1)
    row_number = 0
    for place in upload.arrays.sections["places"].of(there):
        for row in range(place["height"]):
            target = int(place["offset"]) + row * int(place["stride"])
            source = int(place["source"]) + row * int(place["source_stride"])
            assert source % SOURCE_ALIGNMENT == target % SOURCE_ALIGNMENT
            pieces = slice(target // SOURCE_ALIGNMENT, -(-(target + 3 * int(place["width"])) // SOURCE_ALIGNMENT))
            assert (taken[pieces] == -1).all()
            taken[pieces] = row_number
            row_number += 1
    assert (taken[: upload.arrays.size // SOURCE_ALIGNMENT] == -1).all()
    assert row_number > 100


def test_pictures_that_are_not_whole_rows_of_pixels_are_copied() -> None:
    image = picture(90, 80, 1)
    for odd in (image[:, ::-1], image[::-1], image[..., ::-1], np.asfortranarray(image)):
        nodes = np.stack([[nodes_at((40.0, 30.0), 0.5)] * 2])
        upload, _, there = staged(step(1, [odd, image], nodes), in_place)
        of_odd, of_image = crops_of(upload, there)
        assert np.abs(of_odd.astype(int) - direct(np.ascontiguousarray(odd), nodes[0, 0], False)).max() <= 3
        assert np.abs(of_image.astype(int) - direct(image, nodes[0, 1], False)).max() <= 3


def test_the_arrays_lie_where_the_packing_says() -> None:
    inputs = step(2, [picture(64, 64, 1)] * 3, np.zeros((2, 3, 3, 3, 2), np.float32))
    upload, buffer, _ = staged(inputs)
    for name in ("nodes", "projections", "view_mask", "noise", "state", "state_valid"):
        section = upload.arrays.sections[name]
        assert section.offset % ALIGNMENT == 0
        np.testing.assert_array_equal(section.of(buffer), getattr(inputs, name))


def test_a_crop_that_is_outside_of_its_picture_is_black() -> None:
    nodes = np.stack([[nodes_at((-900.0, 20.0), 1.0), np.full((3, 3, 2), -1e4, np.float32)]])
    nodes[0, 1, 0, 0] = (1e30, -1e30)
    upload, _, there = staged(step(1, [picture(64, 64, 1), picture(64, 64, 2)], nodes))
    places = upload.arrays.sections["places"].of(there)
    assert not places["valid"][0]
    assert not crops_of(upload, there)[0].any()


def test_a_masked_view_is_not_read() -> None:
    inputs = step(2, [picture(64, 64, 1), picture(64, 64, 2)], np.full((2, 2, 3, 3, 2), 20, np.float32))
    inputs.view_mask[1, 0] = 0.0
    upload, buffer, _ = staged(inputs)
    assert upload.arrays.sections["places"].of(buffer)["valid"].tolist() == [1, 1, 0, 1]


def test_a_step_leaves_nothing_of_the_one_before() -> None:
    images: list[NDArray[np.uint8] | None] = [picture(200, 150, 1), picture(120, 90, 2), picture(64, 64, 3)]
    nodes = np.stack([[nodes_at((60.0, 50.0), 0.4)] * 3] * 2)
    before = step(2, images, nodes)
    before.mirrored[:] = True
    after = step(2, [images[1], None, images[0]], nodes + np.float32(7.0))
    after.nodes[1, 2] -= 4000.0
    upload, buffer, _ = staged(after)
    again = np.full(upload.size, 0xA5, np.uint8)
    stager = Stager(upload, again, buffer.ctypes.data, elsewhere)
    stager.stage(before)
    assert upload.arrays.sections["places"].of(again)["valid"].all()
    stager.stage(after)
    assert upload.arrays.sections["places"].of(again)["valid"].tolist() == [1, 0, 1, 1, 0, 0]
    np.testing.assert_array_equal(again[: upload.arrays.size], buffer[: upload.arrays.size])


@pytest.mark.parametrize("locked", [elsewhere, in_place])
def test_what_is_too_large_is_shrunk_and_still_shows_the_same(locked: Locked) -> None:
    image = picture(1920, 1080, 5, grain_px=300)
    nodes = np.stack([[nodes_at((900.0, 500.0), 25.0), nodes_at((40.0, 30.0), 40.0)]])
    upload, _, there = staged(step(1, [image, image], nodes), locked)
    places = upload.arrays.sections["places"].of(there)
    assert (places["stride"] * places["height"] <= upload.crop_capacity).all()
    crops = crops_of(upload, there)
    for crop, at in zip(crops, nodes[0], strict=True):
        wanted = direct(image, at, False)
        inside = (wanted > 0).any(axis=-1) & (crop > 0).any(axis=-1)
        assert inside.mean() > 0.1
        assert np.abs(crop.astype(int) - wanted)[inside].mean() < 2
        assert ((wanted > 0).any(axis=-1) == (crop > 0).any(axis=-1)).mean() > 0.93


def test_every_picture_at_its_largest_fits() -> None:
    images: list[NDArray[np.uint8] | None] = [picture(4000, 3000, 1)] * 8
    nodes = np.stack([[nodes_at((2000.0, 1500.0), 300.0)] * 8] * 2)
    upload, _, there = staged(step(2, images, nodes))
    last = upload.arrays.sections["places"].of(there)[-1]
    assert int(last["offset"]) + int(last["stride"]) * int(last["height"]) <= upload.size
    # Rows as long as they may be before they are shrunk, and as many.
    side = int(MOST_SCALE * SIZE_PX) - 4
    nodes = np.stack([[nodes_at((2000.0, 1500.0), side / (2 * SIZE_PX), 0.0)] * 8] * 2)
    upload, _, there = staged(step(2, images, nodes), in_place)
    last = upload.arrays.sections["places"].of(there)[-1]
    assert int(last["offset"]) + int(last["stride"]) * int(last["height"]) <= upload.size


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nodes": np.zeros((1, 2, 3, 3), np.float32)}, ("nodes", "(1, 2, 3, 3)", "(1, 2, 3, 3, 2)")),
        ({"mirrored": np.zeros(1, np.int32)}, ("mirrored", "int32", "bool")),
        ({"noise": np.zeros((1, 2, 2, 21, 2))}, ("noise", "float64")),
        ({"view_mask": np.zeros((1, 9), np.float32)}, ("view_mask", "1..8")),
        ({"pictures": [None]}, ("1 pictures", "2 views")),
        ({"pictures": [None, picture(32, 32, 1)]}, ("view 0", "view_mask to 0")),
        ({"pictures": [picture(32, 32, 1), np.zeros((32, 32), np.uint8)]}, ("view 1", "(32, 32)", "(H, W, 3)")),
    ],
)
def test_inputs_that_are_another_networks(changes: dict[str, object], words: tuple[str, ...]) -> None:
    inputs = step(1, [picture(64, 64, 1)] * 2, np.zeros((1, 2, 3, 3, 2), np.float32))
    check_pictures(inputs, CARD)
    with pytest.raises(EngineError) as refused:
        check_pictures(replace(inputs, **changes), CARD)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(("hands", "views"), [(1, 1), (2, 5)])
def test_answers_come_out_as_they_went_in(hands: int, views: int) -> None:
    packing = result_packing(CARD, hands, views)
    buffer = np.zeros(packing.size, np.uint8)
    rng = np.random.default_rng(0)
    wanted = {}
    for name in READ_OUTPUTS:
        section = packing.sections[name]
        assert section.shape == tuple({"hands": hands, "views": views}.get(size, size) for size in OUTPUTS[name])
        assert section.offset % ALIGNMENT == 0
        wanted[name] = rng.standard_normal(section.shape).astype(np.float32)
        section.of(buffer)[...] = wanted[name]
    outputs = unpack_result(buffer, packing)
    buffer[:] = 0
    for field, name in zip(fields(NetworkOutputs), READ_OUTPUTS, strict=True):
        np.testing.assert_array_equal(getattr(outputs, field.name), wanted[name])


def test_packed_arrays_do_not_overlap() -> None:
    packing = pack({"a": (3, 5), "b": (1,), "c": (100,)}, {"b": PLACE})
    ends = 0
    for section in packing.sections.values():
        assert section.offset >= ends
        ends = section.offset + section.size
    assert packing.size >= ends
    assert packing.size % ALIGNMENT == 0
