"""The headset page's modules that need no browser, run by Node, against the service's own words and hands."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
from numpy.typing import NDArray
from websockets.sync.client import connect

from calibration import Rig
from server.dialects.xr import WEBXR, XrDialect
from server.stream_options import StreamOptionError, StreamOptions
from tests.server.conftest import Running, make_hand
from tests.server.viewer.node import Run, add_packages, modules_in, needs_node

ROOT = Path(__file__).parents[2]
WEB = ROOT / "client_demo" / "web"

pytestmark = needs_node


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("web")
    return modules_in(folder, js=WEB / "js", hands=WEB / "hands", viewer=ROOT / "server" / "viewer" / "js")


OPTIONS = 'const { readOptions } = await import("./js/options.js"); return readOptions(given.address, given.token);'


def _options(run: Run, address: str, token: str | None = None) -> dict[str, Any]:
    options: dict[str, Any] = run(OPTIONS, {"address": address, "token": token})
    return options


@pytest.mark.parametrize(
    ("address", "stream", "foreign"),
    [
        ("http://127.0.0.1:8000/client/", "ws://127.0.0.1:8000/api/v1/stream", False),
        ("https://lab.example/hands/client/", "wss://lab.example/hands/api/v1/stream", False),
        ("http://a.example/?server=ws://10.0.0.7:8000", "ws://10.0.0.7:8000/api/v1/stream", True),
        ("http://a.example/?server=10.0.0.7:8000", "ws://10.0.0.7:8000/api/v1/stream", True),
        ("https://a.example/x/?server=wss://b.example/rig", "wss://b.example/rig/api/v1/stream", True),
        ("https://a.example/x/?server=b.example", "wss://b.example/api/v1/stream", True),
    ],
)
def test_the_stream_is_that_of_the_service_named_or_of_the_one_that_serves_the_page(
    run: Run, address: str, stream: str, foreign: bool
) -> None:
    options = _options(run, address)
    assert options["stream"].partition("?")[0] == stream
    assert options["foreign"] is foreign
    assert options["service"] == stream.replace("ws", "http", 1).removesuffix("api/v1/stream")
    assert options["inTheWorld"] is False


def test_the_service_understands_what_the_page_asks_for(run: Run) -> None:
    address = "http://127.0.0.1:8000/client/?up=z&max_hz=72&predict_ms=40&place=world"
    options = _options(run, address, "open sesame & co")
    query = dict(parse_qsl(urlsplit(options["stream"]).query))
    assert query.pop("token") == "open sesame & co"
    asked = StreamOptions.parse(query)
    assert asked.encoding == "msgpack"
    assert asked.dialect == XrDialect(WEBXR, "+z")
    assert (asked.max_hz, asked.predict_ms, asked.fields) == (72, 40, {"joints", "covariance"})
    assert options["inTheWorld"] is True


@pytest.mark.parametrize("up", ["x", "+x", "-x", "y", "+y", "-y", "z", "+z", "-z", "Y", "-Z"])
def test_the_page_knows_the_services_axes(run: Run, up: str) -> None:
    # In an address a plus sign means a blank.
    stream = _options(run, f"http://127.0.0.1/client/?up={up}")["stream"]
    query = dict(parse_qsl(urlsplit(stream).query))
    assert StreamOptions.parse(query).dialect == StreamOptions.parse({**query, "up": up.lower()}).dialect


@pytest.mark.parametrize("up", ["w", "up", "--z"])
def test_what_is_no_axis_for_the_service_is_none_for_the_page(run: Run, up: str) -> None:
    with pytest.raises(ValueError, match="is no axis"):
        _options(run, f"http://127.0.0.1/client/?up={up}")
    with pytest.raises(StreamOptionError):
        StreamOptions.parse({"dialect": "webxr", "up": up})


@pytest.mark.parametrize(
    ("address", "complaint"),
    [
        ("http://a/?server=ftp://b", "must begin with ws"),
        ("http://a/?server=http://", "is no address"),
        ("https://a/?server=ws://b:8000", "behind TLS"),
        ("http://a/?max_hz=fast", "is not a number"),
        ("http://a/?predict_ms=500", "from 0 to 100"),
    ],
)
def test_what_cannot_work_is_refused_in_words(run: Run, address: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        _options(run, address)


def test_the_services_messages_are_read(run: Run, running: Running) -> None:
    with connect(running.stream_url("format=msgpack&dialect=webxr&fields=joints,covariance")) as stream:
        payloads = [stream.recv(5) for _ in range(2)]
    body = """
    const { decode } = await import("./viewer/msgpack.js");
    const { readHands } = await import("./viewer/messages.js");
    const { comparedBones, boneSum } = await import("./js/hand_size.js");
    const [hello, hands] = given.map((hex) => decode(new Uint8Array(Buffer.from(hex, "hex"))));
    const read = readHands(hands).hands;
    return { names: hello.joint_names, parents: hello.parents, hands: read,
      spans: read.map((hand) => boneSum(hand.joints, comparedBones(hello.joint_names))) };
    """
    answer = run(body, [bytes(payload).hex() for payload in payloads])  # type: ignore[arg-type]
    assert tuple(answer["names"]) == WEBXR.joint_names
    assert len(answer["hands"]) == 2
    for hand, span_m in zip(answer["hands"], answer["spans"], strict=True):
        assert (len(hand["joints"]), len(hand["orientations"]), len(hand["covariance"])) == (75, 100, 150)
        np.testing.assert_allclose(np.linalg.norm(np.reshape(hand["orientations"], (25, 4)), axis=1), 1, atol=1e-6)
        assert 0.4 < span_m < 0.8


MODEL = """
const { readFile } = await import("node:fs/promises");
const { readSkinnedModel } = await import("./js/glb.js");
const { restJoints } = await import("./js/hand_size.js");
const file = await readFile(`hands/${given}.glb`);
const model = readSkinnedModel(file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength));
const list = (array) => Array.from(array);
return { names: model.jointNames, positions: model.positions, normals: model.normals, joints: list(model.joints),
  weights: model.weights, index: list(model.index), inverse: model.inverseBind, rest: restJoints(model.inverseBind) };
"""


class Model:
    """A hand model as the page reads it."""

    def __init__(self, run: Run, side: str) -> None:
        read = run(MODEL, side)
        self.names: list[str] = read["names"]
        self.positions = np.reshape(read["positions"], (-1, 3))
        self.normals = np.reshape(read["normals"], (-1, 3))
        self.joints = np.array(_bytes(read["joints"])).reshape(-1, 4)
        self.weights = np.reshape(read["weights"], (-1, 4))
        self.index = np.array(_bytes(read["index"]))
        self.inverse = np.reshape(read["inverse"], (-1, 4, 4)).transpose(0, 2, 1)
        self.rest = np.reshape(read["rest"], (-1, 3))

    @property
    def order(self) -> list[int]:
        """Where each of WebXR's joints is among the model's."""
        return [self.names.index(name) for name in WEBXR.joint_names]

    def posed(self, transforms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Skin the model, given where its own joints go `(25, 4, 4)`."""
        homogeneous = np.concatenate([self.positions, np.ones((len(self.positions), 1))], axis=1)
        moved = np.einsum("jab,jbc,vc->jva", transforms, self.inverse, homogeneous)
        vertices = np.arange(len(self.positions))
        blended: NDArray[np.float64] = sum(
            self.weights[:, k, None] * moved[self.joints[:, k], vertices, :3] for k in range(4)
        )  # type: ignore[assignment]
        return blended


def _bytes(value: Any) -> Any:
    return list(bytes.fromhex(value["bin"])) if isinstance(value, dict) else value


@pytest.fixture(scope="module", params=["left", "right"])
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(run: Run, side: str) -> Model:
    return Model(run, side)


def test_the_hand_models_are_whole(model: Model) -> None:
    assert set(model.names) == set(WEBXR.joint_names)
    assert len(model.names) == 25
    assert len(model.positions) == len(model.normals) == len(model.joints) == len(model.weights) > 1000
    assert model.index.max() == len(model.positions) - 1
    assert model.joints.max() < 25
    np.testing.assert_allclose(model.weights.sum(axis=1), 1, atol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(model.normals, axis=1), 1, atol=1e-3)


def test_joints_at_rest_are_where_the_inverse_matrices_come_from(model: Model) -> None:
    rest = np.linalg.inv(model.inverse)
    np.testing.assert_allclose(model.rest, rest[:, :3, 3], atol=1e-5)
    turns = rest[:, :3, :3]
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1), np.tile(np.eye(3), (25, 1, 1)), atol=1e-4)


def test_the_models_axes_are_those_of_the_stream(model: Model, side: str) -> None:
    """-Z along the bone to the next joint, +Y out of the back of the hand."""
    rest = np.linalg.inv(model.inverse)[model.order]
    for finger in range(1, 6):
        first, last = (1, 4) if finger == 1 else (5 * finger - 5, 5 * finger - 1)
        for joint in range(first, last):
            bone = rest[joint + 1, :3, 3] - rest[joint, :3, 3]
            assert -rest[joint, :3, 2] @ bone > 0.9 * np.linalg.norm(bone), WEBXR.joint_names[joint]
    wrist, index, little = rest[0, :3, 3], rest[6, :3, 3], rest[21, :3, 3]
    back = np.cross(little - wrist, index - wrist) * (1 if side == "right" else -1)
    for joint in (0, 6, 11, 16, 21):
        assert rest[joint, :3, 1] @ back > 0.8 * np.linalg.norm(back), WEBXR.joint_names[joint]


@pytest.mark.parametrize("hand_id", [3, 8])
def test_skin_on_the_streams_joints_lies_on_the_hand(model: Model, side: Any, run: Run, rig: Rig, hand_id: int) -> None:
    hand = make_hand(rig, side=side, hand_id=hand_id)
    said = XrDialect(WEBXR, "+y").hand(hand, rig)
    body = """
    const { boneSum, comparedBones, sizeFactor } = await import("./js/hand_size.js");
    const sum = (joints, names) => boneSum(joints, comparedBones(names));
    return sizeFactor(sum(given.joints, given.names), sum(given.rest, given.restNames));
    """
    given = {"joints": said.joints.ravel().tolist(), "names": WEBXR.joint_names}
    size = run(body, {**given, "rest": model.rest.ravel().tolist(), "restNames": model.names})
    assert 0.7 < size < 1.3
    x, y, z, w = said.orientations_xyzw.T
    turns = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    transforms = np.zeros((25, 4, 4))
    places = np.array(model.order)
    transforms[places, :3, :3] = size * turns
    transforms[places, :3, 3] = said.joints
    transforms[:, 3, 3] = 1
    skin = model.posed(transforms)
    # Two different people's hands on the same bones: their skins are a few millimetres apart, but at the cut wrist.
    fingers = np.isin(model.joints[:, 0], [place for joint, place in enumerate(model.order) if joint > 0])
    flesh = hand.vertices_world
    gaps_m = np.linalg.norm(skin[fingers][:, None] - flesh[None], axis=2).min(axis=1)
    assert np.median(gaps_m) < 0.006
    assert np.quantile(gaps_m, 0.95) < 0.018


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ("file.subarray(0, 10)", "no binary glTF"),
        ("Buffer.concat([Buffer.from('nope'), file.subarray(4)])", "no binary glTF"),
        ("file.subarray(0, 3000)", "ends inside a chunk"),
        ("(() => { const other = Buffer.from(file); other[4] = 1; return other; })()", "version 1"),
    ],
)
def test_a_file_that_is_no_hand_is_refused(run: Run, damage: str, complaint: str) -> None:
    body = f"""
    const {{ readFile }} = await import("node:fs/promises");
    const {{ readSkinnedModel }} = await import("./js/glb.js");
    const file = await readFile("hands/left.glb");
    const damaged = {damage};
    readSkinnedModel(damaged.buffer.slice(damaged.byteOffset, damaged.byteOffset + damaged.byteLength));
    """
    with pytest.raises(ValueError, match=complaint):
        run(body)


def test_a_browser_without_3d_graphics_is_told_in_plain_words(tmp_path: Path) -> None:
    add_packages(tmp_path, viewer=True)
    body = """
    const { Room } = await import("./js/scene/room.js");
    new Room({ addEventListener() {}, removeEventListener() {}, getContext: () => null }, () => false, () => {});
    """
    with pytest.raises(ValueError, match=r"^Error: This browser offers no 3D graphics \(WebGL 2\), so "):
        modules_in(tmp_path, js=WEB / "js")(body)


def test_a_hand_that_comes_back_finds_its_materials_and_another_stream_leaves_none(tmp_path: Path, run: Run) -> None:
    add_packages(tmp_path, viewer=True)
    body = """
    const { TrackedHands } = await import("./js/scene/tracked_hands.js");
    const hands = new TrackedHands();
    const { names, model } = given;
    hands.setSkeleton(names, names.map((_, joint) => joint - 1));
    const typed = { positions: Float32Array, normals: Float32Array, joints: Uint8Array, weights: Float32Array,
      index: Uint16Array, inverseBind: Float32Array };
    const arrays = Object.fromEntries(Object.entries(typed).map(([key, Kind]) => [key, Kind.from(model[key].flat())]));
    const whole = { ...arrays, jointNames: model.jointNames };
    hands.setModels({ left: whole, right: whole });
    hands.setLayers({ joints: true, ellipsoids: true });
    const made = new Set(), gone = new Set();
    const note = () => hands.object.traverse(({ material, geometry }) => {
      for (const each of material ? [material, geometry] : []) {
        if (!made.has(each)) each.addEventListener("dispose", () => gone.add(each));
        made.add(each);
      }
    });
    const kinds = (all) => [...all].filter((each) => each.isMaterial).length;
    const hand = (id, side) => ({ id, side, joints: new Float32Array(3 * names.length).map((_, i) => 0.01 * i),
      covariance: new Float32Array(6 * names.length).fill(1),
      orientations: new Float32Array(4 * names.length).map((_, i) => (i % 4 === 3 ? 1 : 0)) });
    for (let id = 0; id < 3; id++) {
      hands.show([hand(id, "left"), hand(id, "right")]);
      note();
      hands.show([]);
    }
    const before = [kinds(made), kinds(gone)];
    const parts = [...hands.parts.values()];
    hands.setSkeleton(names, names.map((_, joint) => joint - 1));
    return { before, after: kinds(gone), geometries: parts.map(({ geometry }) => gone.has(geometry)) };
    """
    model = run(MODEL, "left")
    model["jointNames"] = model["names"]
    model["inverseBind"] = model["inverse"]
    told = modules_in(tmp_path, js=WEB / "js")(body, {"names": list(model["names"]), "model": model})
    # Two skins, the joints' and the ellipsoids'.
    assert told == {"before": [4, 0], "after": 2, "geometries": [True, True]}


def test_the_page_hears_that_a_headset_was_left_when_the_canvas_is_the_screens_again(run: Run) -> None:
    body = """
    globalThis.window = { isSecureContext: true };
    const session = new EventTarget();
    Object.defineProperty(globalThis, "navigator", { value: { xr: { requestSession: async () => session } } });
    // As Three's: it hears the session's end too, puts the canvas back and then says so itself.
    const xr = Object.assign(new EventTarget(), {
      isPresenting: false,
      setReferenceSpaceType() {},
      async setSession(session) {
        session.addEventListener("end", () => {
          xr.isPresenting = false;
          xr.dispatchEvent(new Event("sessionend"));
        });
        xr.isPresenting = true;
      },
    });
    const { Headset } = await import("./js/headset.js");
    const told = [];
    const quiet = () => {};
    const listeners = { onEntered: quiet, onSelect: quiet, onSqueeze: quiet, onLeft: () => told.push(xr.isPresenting) };
    const headset = new Headset(xr, null, listeners);
    await headset.enter("vr");
    session.dispatchEvent(new Event("end"));
    return told;
    """
    assert run(body) == [False]


def test_size_is_told_from_bones_alone_and_within_reason(run: Run) -> None:
    body = """
    const { boneSum, comparedBones, sizeFactor } = await import("./js/hand_size.js");
    const bones = comparedBones(given.names);
    const scaled = (factor) => given.joints.map((value, i) => factor * value + (i % 3));
    const rest = boneSum(given.joints, bones);
    return [0.5, 1, 1.4, 9, 0].map((factor) => sizeFactor(boneSum(scaled(factor), bones), rest));
    """
    joints = np.random.default_rng(2).normal(size=75).tolist()
    assert run(body, {"names": WEBXR.joint_names, "joints": joints}) == pytest.approx([0.5, 1, 1.4, 2, 1])
    with pytest.raises(ValueError, match="has no joint wrist"):
        run('const { comparedBones } = await import("./js/hand_size.js"); comparedBones([]);')


PLACEMENT = """
const { placed, placedBefore, turnedFurther } = await import("./js/placement.js");
const placement = placedBefore(given.eye, given.gaze, given.centre, given.seenFrom);
const further = turnedFurther(placement, given.centre, 0.7);
return { yaw: placement.yaw, centre: placed(placement, given.centre), front: placed(placement, given.seenFrom),
  still: placed(further, given.centre), turned: further.yaw - placement.yaw };
"""


@pytest.mark.parametrize("seed", range(6))
def test_hands_are_put_before_the_viewer_with_their_known_side_towards_the_eye(run: Run, seed: int) -> None:
    rng = np.random.default_rng(seed)
    eye, gaze, centre = rng.normal(size=(3, 3))
    seen_from = centre + rng.normal(size=3)
    given = {"eye": eye, "gaze": gaze, "centre": centre, "seenFrom": seen_from}
    answer = run(PLACEMENT, {name: value.tolist() for name, value in given.items()})
    level = np.array([1.0, 0.0, 1.0])
    ahead = gaze * level / np.linalg.norm(gaze * level)
    target = eye + 0.5 * ahead - [0, 0.15, 0]
    np.testing.assert_allclose(answer["centre"], target, atol=1e-9)
    front = (np.array(answer["front"]) - target) * level
    np.testing.assert_allclose(front / np.linalg.norm(front), -ahead, atol=1e-9)
    np.testing.assert_allclose(answer["still"], target, atol=1e-9)
    assert answer["turned"] == pytest.approx(0.7)


def test_a_viewer_who_looks_straight_down_still_gets_the_hands(run: Run) -> None:
    given = {"eye": [0, 1.6, 0], "gaze": [0, -1, 0], "centre": [0, 0, 0], "seenFrom": [0, 1, 0]}
    answer = run(PLACEMENT, given)
    np.testing.assert_allclose(answer["centre"], [0, 1.45, -0.5], atol=1e-9)


PLAYOUT = """
const { Playout } = await import("./js/playout.js");
const playout = new Playout(given.delay);
const hand = ({ id = 1, side = "right", x, q = [0, 0, 0, 1] }) => ({ id, side, confidence: 1, vertices: null,
  joints: Float32Array.from([x, 2 * x, 0, 1, 1, 1]), orientations: Float32Array.from([...q, 0, 0, 0, 1]),
  covariance: Float32Array.from([x, 0, 0, x, 0, x, 1, 0, 0, 1, 0, 1]), reprojectionPx: new Map() });
for (const { pose, arrived, hands } of given.messages) {
  playout.add({ stampsNs: { exposure: 1e6 * pose }, predictedMs: given.predicted, hands: hands.map(hand) }, arrived);
}
return { delay: playout.delayMs, shown: given.times.map(([now, silent]) => {
  const shown = playout.at(now, silent, given.hold);
  const plain = ({ id, joints, orientations, covariance }) =>
    ({ id, joints: [...joints], orientations: [...orientations], covariance: [...covariance] });
  return shown && { pose: shown.poseMs, moving: shown.moving, hands: shown.hands.map(plain) };
}) };
"""


def _played(
    run: Run, messages: list[dict[str, Any]], times: list[list[float | None]], **options: Any
) -> dict[str, Any]:
    given = {"delay": None, "predicted": 0, "hold": 500, "messages": messages, "times": times, **options}
    answer: dict[str, Any] = run(PLAYOUT, given)
    return answer


def _turn(angle: float) -> list[float]:
    return [0.0, 0.0, float(np.sin(angle / 2)), float(np.cos(angle / 2))]


def test_the_page_moves_hands_evenly_between_messages_however_these_come(run: Run) -> None:
    """A hand at constant speed is where it was at the shown instant, and that instant goes as time does."""
    late = np.random.default_rng(4).uniform(5, 30, 40)
    messages = [
        # A quaternion and its negative are the same rotation.
        {
            "pose": 20 * i,
            "arrived": 20 * i + late[i],
            "hands": [{"x": i, "q": [(-1) ** i * k for k in _turn(0.05 * i)]}],
        }
        for i in range(40)
    ]
    now = np.linspace(600, 780, 50)
    answer = _played(run, messages, [[t, 0] for t in now], predicted=10)
    ages = [messages[i + 1]["arrived"] - 20 * i - 10 for i in range(39)]
    assert max(ages) - 20 <= answer["delay"] <= max(ages)
    for t, shown in zip(now, answer["shown"], strict=True):
        at = t - answer["delay"]
        assert shown["pose"] == pytest.approx(at)
        (hand,) = shown["hands"]
        x = (at - 10) / 20
        np.testing.assert_allclose(hand["joints"], [x, 2 * x, 0, 1, 1, 1], rtol=1e-5)
        np.testing.assert_allclose(hand["covariance"][:6], [x, 0, 0, x, 0, x], rtol=1e-5)
        turn = np.array(hand["orientations"][:4])
        np.testing.assert_allclose(turn * np.sign(turn[3]), _turn(0.05 * x), atol=1e-6)


def test_the_page_joins_only_what_belongs_together_and_shows_nothing_stale(run: Run) -> None:
    both = [{"x": 1}, {"id": 2, "side": "left", "x": 5}]
    messages = [
        {"pose": 0, "arrived": 10, "hands": both},
        {"pose": 20, "arrived": 30, "hands": [{"x": 2}]},
        {"pose": 40, "arrived": 50, "hands": []},
    ]
    times = [[-1.0, 0.0], [10.0, 0.0], [25.0, 0.0], [41.0, 0.0]]
    before, first, second, gone = _played(run, messages, times, delay=1e-9)["shown"]
    assert before is None
    # The left one is not in the second message: until its instant it stays where it was, then it is gone.
    assert [(hand["id"], hand["joints"][0]) for hand in first["hands"]] == [(1, 1.5), (2, 5)]
    assert [(hand["id"], hand["joints"][0]) for hand in second["hands"]] == [(1, 2)]
    assert gone["hands"] == []
    steady = [{"pose": 20 * i, "arrived": 20 * i + 10, "hands": [{"x": i}]} for i in range(4)]
    far = [*steady, {"pose": 900, "arrived": 910, "hands": [{"x": 9}]}]
    # Through a pause no line is drawn; and after the newest message its hands stay for so long and no longer.
    shown = _played(run, far, [[300.0, 0], [700.0, 0], [1300.0, 0], [1401.0, 0]], delay=1e-9, hold=500)["shown"]
    assert [[hand["joints"][0] for hand in each["hands"]] for each in shown] == [[3], [], [9], []]


def test_without_a_clock_or_a_delay_the_page_shows_the_newest_as_it_is(run: Run) -> None:
    messages = [{"pose": 20 * i, "arrived": None, "hands": [{"x": i}]} for i in range(3)]
    shown = _played(run, messages, [[None, 3.0], [None, 501.0]])["shown"]
    assert [[hand["joints"][0] for hand in each["hands"]] for each in shown] == [[2], []]
    old = [{"pose": 20 * i, "arrived": 20 * i + 900, "hands": [{"x": i}]} for i in range(3)]
    (shown,) = _played(run, old, [[945.0, 5.0]], delay=0)["shown"]
    assert (shown["hands"][0]["joints"][0], shown["moving"]) == (2, False)
    # Time that goes back is another service: nothing of the old one is left.
    again = [*messages, {"pose": 5, "arrived": None, "hands": [{"x": 9}]}]
    assert _played(run, again, [[None, 0.0]])["shown"][0]["hands"][0]["joints"][0] == 9
