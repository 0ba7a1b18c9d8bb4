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
from engine.backends.packing import ALIGNMENT, Upload, pack, result_packing, unpack_result, upload_packing
from engine.backends.pictures import PictureInputs, check_pictures
from engine.backends.staging import stage
from engine.backends.trial import trial_inputs
from engine.errors import EngineError
from engine.kernels.places import PLACE, nodes_along
from tests.engine.backends.sampling import sampled_crop
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


def staged(inputs: PictureInputs) -> tuple[Upload, NDArray[np.uint8], int]:
    check_pictures(inputs, CARD)
    upload = upload_packing(CARD, *inputs.view_mask.shape)
    # Whatever was in the buffer before must not matter.
    buffer = np.full(upload.size, 0xA5, np.uint8)
    return upload, buffer, stage(inputs, upload, buffer)


def crops_of(upload: Upload, buffer: NDArray[np.uint8], used: int) -> NDArray[np.uint8]:
    """All crops `(B V, S, S, 3)`, of the bytes that go up alone."""
    sections = upload.arrays.sections
    places = sections["places"].of(buffer)
    nodes = sections["nodes"].of(buffer).reshape(len(places), nodes_along(SIZE_PX), -1, 2)
    return np.stack([sampled_crop(buffer[:used], place, at, SIZE_PX) for place, at in zip(places, nodes, strict=True)])


@pytest.mark.parametrize("threads", [1, 4])
def test_crops_are_those_of_whole_pictures(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "cores", lambda: 2 * threads)
    monkeypatch.setattr(staging, "_MANY_BYTES", 1)
    pictures = [picture(200, 150, 1), picture(320, 97, 2), None, picture(64, 64, 3)]
    centers = [(90.0, 70.0), (3.0, 90.0), (0.0, 0.0), (60.0, -5.0)]
    nodes = np.stack([[nodes_at(center, 0.6 + hand, hand) for center in centers] for hand in (0, 1)])
    inputs = step(2, list(pictures), nodes)
    upload, buffer, used = staged(inputs)
    crops = crops_of(upload, buffer, used).reshape(2, 4, SIZE_PX, SIZE_PX, 3)
    for hand in (0, 1):
        for view, image in enumerate(pictures):
            if image is None:
                assert not crops[hand, view].any()
                continue
            wanted = direct(image, nodes[hand, view], hand == 1)
            assert (wanted == 0).all(axis=-1).any() == (view in (1, 3))
            # cv2 rounds places to a 32nd of a pixel.
            assert np.abs(crops[hand, view].astype(int) - wanted).max() <= 3
    rectangles = upload.arrays.sections["places"].of(buffer)
    assert used < upload.arrays.size + sum(image.size for image in pictures if image is not None)
    assert rectangles["valid"].tolist() == [1, 1, 0, 1, 1, 1, 0, 1]


def test_the_arrays_lie_where_the_packing_says() -> None:
    inputs = step(2, [picture(64, 64, 1)] * 3, np.zeros((2, 3, 3, 3, 2), np.float32))
    upload, buffer, used = staged(inputs)
    for name in ("nodes", "projections", "view_mask", "noise", "state", "state_valid"):
        section = upload.arrays.sections[name]
        assert section.offset % ALIGNMENT == 0
        np.testing.assert_array_equal(section.of(buffer), getattr(inputs, name))
    assert upload.arrays.size <= used <= upload.size


def test_a_crop_that_is_outside_of_its_picture_is_black() -> None:
    nodes = np.stack([[nodes_at((-900.0, 20.0), 1.0), np.full((3, 3, 2), -1e4, np.float32)]])
    nodes[0, 1, 0, 0] = (1e30, -1e30)
    upload, buffer, used = staged(step(1, [picture(64, 64, 1), picture(64, 64, 2)], nodes))
    places = upload.arrays.sections["places"].of(buffer)
    assert not places["valid"][0]
    assert not crops_of(upload, buffer, used)[0].any()


def test_a_masked_view_is_not_read() -> None:
    inputs = step(2, [picture(64, 64, 1), picture(64, 64, 2)], np.full((2, 2, 3, 3, 2), 20, np.float32))
    inputs.view_mask[1, 0] = 0.0
    upload, buffer, _ = staged(inputs)
    assert upload.arrays.sections["places"].of(buffer)["valid"].tolist() == [1, 1, 0, 1]


def test_what_is_too_large_is_shrunk_and_still_shows_the_same() -> None:
    image = picture(1920, 1080, 5, grain_px=300)
    nodes = np.stack([[nodes_at((900.0, 500.0), 25.0), nodes_at((40.0, 30.0), 40.0)]])
    upload, buffer, used = staged(step(1, [image, image], nodes))
    places = upload.arrays.sections["places"].of(buffer)
    assert (places["width"] * places["height"] * 3 <= upload.crop_capacity).all()
    assert used <= upload.size
    crops = crops_of(upload, buffer, used)
    for crop, at in zip(crops, nodes[0], strict=True):
        wanted = direct(image, at, False)
        inside = (wanted > 0).any(axis=-1) & (crop > 0).any(axis=-1)
        assert inside.mean() > 0.1
        assert np.abs(crop.astype(int) - wanted)[inside].mean() < 2
        assert ((wanted > 0).any(axis=-1) == (crop > 0).any(axis=-1)).mean() > 0.93


def test_every_picture_at_its_largest_fits() -> None:
    images: list[NDArray[np.uint8] | None] = [picture(4000, 3000, 1)] * 8
    nodes = np.stack([[nodes_at((2000.0, 1500.0), 300.0)] * 8] * 2)
    upload, _, used = staged(step(2, images, nodes))
    assert used <= upload.size


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
