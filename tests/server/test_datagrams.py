"""OSC, VMC and LiveLink: bytes worked out by hand, and what a receiver gets from a running service."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import struct
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from engine.hand_model.rotations import matrix_from_quaternion, quaternion_from_axis_angle
from server.datagrams import DatagramSender, Target
from server.dialects import DIALECTS
from server.livelink import livelink_datagrams
from server.motion import MotionHistory
from server.network import AddressError
from server.osc import osc_bundles, osc_message
from server.outgoing import Outgoing
from server.outputs import Outputs
from server.vmc import BONE_NAMES, vmc_datagrams


def read_string(data, at):
    end = data.index(b"\0", at)
    return data[at:end].decode(), end + 4 - end % 4


def read_message(data):
    address, at = read_string(data, 0)
    tags, at = read_string(data, at)
    values = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = read_string(data, at)
        else:
            (value,) = struct.unpack_from(">f" if tag == "f" else ">i", data, at)
            at += 4
        values.append(value)
    assert at == len(data)
    return address, values


def read_bundle(data):
    assert data[:16] == b"#bundle\0" + bytes(7) + b"\1"
    at, messages = 16, []
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        messages.append(read_message(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return messages


def outgoing_of(solved, *hands):
    solved = replace(solved, hands=hands)
    return Outgoing(solved, MotionHistory().add(solved))


def test_a_message_is_the_one_of_the_specification():
    """The example of OSC 1.0: /oscillator/4/frequency with 440.0, and /foo with 1000, -1, "hello", 1.234, 5.678."""
    assert osc_message("/oscillator/4/frequency", 440.0) == b"/oscillator/4/frequency\0,f\0\0\x43\xdc\0\0"
    assert osc_message("/foo", 1000, -1, "hello", 1.234, 5.678) == (
        b"/foo\0\0\0\0,iisff\0\0\0\0\x03\xe8\xff\xff\xff\xffhello\0\0\0\x3f\x9d\xf3\xb6\x40\xb5\xb2\x2d"
    )


def test_bundles_are_no_larger_than_the_limit_and_keep_the_order():
    messages = [osc_message("/a", number) for number in range(30)]
    bundles = list(osc_bundles(messages, 100))
    assert len(bundles) > 3
    assert all(len(bundle) <= 100 for bundle in bundles)
    assert [values for bundle in bundles for _, values in read_bundle(bundle)] == [[number] for number in range(30)]
    assert list(osc_bundles([], 100)) == []
    assert len(list(osc_bundles([osc_message("/long", "x" * 200)], 100))) == 1


def test_vmc_says_each_bone_once_in_packets_that_fit(solved, hands):
    datagrams = vmc_datagrams(outgoing_of(solved, *hands), "-y")
    assert all(len(datagram) <= 1472 for datagram in datagrams)
    messages = [message for datagram in datagrams for message in read_bundle(datagram)]
    assert messages[0] == ("/VMC/Ext/OK", [1])
    assert messages[1][0] == "/VMC/Ext/T"
    bones = {values[0]: values[1:] for address, values in messages if address == "/VMC/Ext/Bone/Pos"}
    assert len(bones) == 30
    assert set(bones) == {f"{side}{name}" for side in ("Left", "Right") for name in BONE_NAMES}
    assert {"LeftThumbProximal", "RightLittleDistal", "RightRingIntermediate"} <= set(bones)
    for values in bones.values():
        assert np.linalg.norm(values[3:]) == pytest.approx(1, abs=1e-6)
    trackers = {values[0]: values[1:] for address, values in messages if address == "/VMC/Ext/Tra/Pos"}
    assert set(trackers) == {"usthand-left-wrist", "usthand-right-wrist"}
    said = DIALECTS["unity"].hand(hands[0], solved.rig)
    assert_allclose(trackers["usthand-right-wrist"], [*said.joints[0], *said.orientations_xyzw[0]], atol=1e-6)


def test_a_curled_finger_turns_as_unity_has_it(solved, hand_of, hands):
    """A right index finger bent by a quarter turn, in the T-pose: from +x down to -y, about -z in Unity's left hand."""
    for hand, sign in ((hands[0], -1), (hands[1], 1)):
        pose = np.zeros(48)
        # MANO: the right hand's fingers (-x) go to the palm (-y) by a turn about +z, the left hand's about -z.
        pose[3:6] = (0, 0, -sign * np.pi / 2)
        shaped = hand.posed.shaped
        straight, bent = (shaped.posed(each, np.zeros(3)) for each in (np.zeros(48), pose))
        assert bent.joints[8, 1] < straight.joints[8, 1] - 0.04
        bones = {
            values[0]: values[1:]
            for datagram in vmc_datagrams(outgoing_of(solved, hand_of(bent, pose, np.zeros(3))), "-y")
            for address, values in read_bundle(datagram)
            if address == "/VMC/Ext/Bone/Pos"
        }
        side = hand.side.capitalize()
        rotation = np.array(bones[f"{side}IndexProximal"][3:])
        assert_allclose(rotation, quaternion_from_axis_angle((0, 0, sign * np.pi / 2)), atol=1e-6)
        assert_allclose(matrix_from_quaternion(rotation) @ (-sign, 0, 0), (0, -1, 0), atol=1e-6)
        assert_allclose(bones[f"{side}MiddleProximal"][3:], (0, 0, 0, 1), atol=1e-6)
        # Fingers stick out to the avatar's own side, thumbs to the front.
        assert -sign * bones[f"{side}IndexProximal"][0] > 0.05
        assert bones[f"{side}ThumbProximal"][2] > 0.01


def test_of_two_hands_of_a_side_the_surer_one_is_sent(solved, hands):
    doubtful = replace(hands[0], id=9, confidence=0.3, joints_world=hands[0].joints_world + 1)
    both, one = (outgoing_of(solved, *each) for each in ((doubtful, hands[0]), (hands[0],)))
    assert vmc_datagrams(both, "-y") == vmc_datagrams(one, "-y")
    assert livelink_datagrams(both, "-y") == livelink_datagrams(one, "-y")


def test_a_hand_that_is_not_whole_is_left_out(solved, hands):
    joints = hands[0].joints_world.copy()
    joints[8] = np.nan
    broken, none = outgoing_of(solved, replace(hands[0], joints_world=joints)), outgoing_of(solved)
    assert vmc_datagrams(broken, "-y") == vmc_datagrams(none, "-y")
    assert livelink_datagrams(broken, "-y") == []


def test_no_hand_is_no_bone(solved):
    assert [address for address, _ in read_bundle(vmc_datagrams(outgoing_of(solved), "-y")[0])] == [
        "/VMC/Ext/OK",
        "/VMC/Ext/T",
    ]
    assert livelink_datagrams(outgoing_of(solved), "-y") == []


def test_livelinks_bones_put_together_are_unreals_joints(solved, hands):
    subjects = [json.loads(datagram) for datagram in livelink_datagrams(outgoing_of(solved, *hands), "+z")]
    assert [list(subject) for subject in subjects] == [["usthand_left"], ["usthand_right"]]
    dialect = replace(DIALECTS["unreal"], up="+z")
    for hand, bones in zip(hands, (subjects[1]["usthand_right"], subjects[0]["usthand_left"]), strict=True):
        said = dialect.hand(hand, solved.rig)
        names = dialect.skeleton(solved.rig).joint_names
        assert [bone["Parent"] for bone in bones].count(-1) == 1
        assert (bones[0]["Name"], bones[0]["Parent"]) == ("Wrist", -1)
        world = []
        for index, bone in enumerate(bones):
            assert set(bone) == {"Name", "Parent", "Location", "Rotation", "Scale"}
            assert bone["Parent"] < index
            assert bone["Scale"] == [1, 1, 1]
            R, p = matrix_from_quaternion(bone["Rotation"]), np.array(bone["Location"])
            if bone["Parent"] >= 0:
                parent_R, parent_p = world[bone["Parent"]]
                R, p = parent_R @ R, parent_p + parent_R @ p
            world.append((R, p))
            joint = names.index(bone["Name"])
            assert_allclose(p, said.joints[joint], atol=1e-3)
            assert_allclose(R, matrix_from_quaternion(said.orientations_xyzw[joint]), atol=1e-3)
        assert len(world) == 26


@pytest.fixture
def receiver():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        bound.settimeout(5)
        yield bound


@pytest.mark.parametrize("protocol", ["vmc", "livelink"])
def test_a_running_service_sends_what_it_sees(serving, session, engine, rig, receiver, protocol):
    target = Target("127.0.0.1", receiver.getsockname()[1])
    with serving(session, engine, rig, outputs=Outputs(up="+z", **{protocol: target})) as running:
        datagrams = [receiver.recv(65536) for _ in range(12)]
        assert running.app.state.parts.broadcaster.client_count == 1
    if protocol == "vmc":
        names = {values[0] for datagram in datagrams for _, values in read_bundle(datagram)}
        assert {"LeftIndexProximal", "RightThumbDistal", "usthand-left-wrist"} <= names
    else:
        assert {next(iter(json.loads(datagram))) for datagram in datagrams} == {"usthand_left", "usthand_right"}
    # The service has ended, and with it the sender.
    with contextlib.suppress(BlockingIOError):
        receiver.setblocking(False)
        while receiver.recv(65536):
            pass
    receiver.settimeout(0.2)
    with pytest.raises(TimeoutError):
        receiver.recv(65536)


def test_a_receiver_that_is_not_there_costs_nothing_and_may_come_later(
    serving, session, engine, rig, receiver, eventually
):
    address = receiver.getsockname()
    receiver.close()
    with serving(session, engine, rig, outputs=Outputs(vmc=Target(*address))) as running:
        eventually(lambda: running.pipeline.solved_count > 20)
        assert running.pipeline.errors == {}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as late:
            late.bind(address)
            late.settimeout(5)
            assert read_bundle(late.recv(65536))[0] == ("/VMC/Ext/OK", [1])


def test_an_answer_that_cannot_be_said_is_logged_once_and_the_next_is_sent(solved, receiver, caplog):
    link = Target(*receiver.getsockname()).connect("--vmc")
    sayings = iter([ZeroDivisionError, ZeroDivisionError, None])

    def encode(outgoing):
        problem = next(sayings)
        if problem:
            raise problem("no such bone")
        return [b"fine"]

    sender = DatagramSender("--vmc", link, encode)
    with caplog.at_level(logging.ERROR):
        assert [sender._send(outgoing_of(solved)) for _ in range(3)] == [False, False, True]
    assert caplog.text.count("could not be sent") == 1
    assert receiver.recv(100) == b"fine"
    sender.close()
    sender.close()


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:39540", "127.0.0.1", 39540),
        (":54321", "127.0.0.1", 54321),
        ("[::1]:7", "::1", 7),
        ("pc:80", "pc", 80),
    ],
)
def test_a_target_is_read(text, host, port):
    assert Target.parse(text, "--vmc") == Target(host, port)


@pytest.mark.parametrize(
    "text", ["", "localhost", "localhost:", "localhost:0", "localhost:70000", "localhost:x", "h:-1", "1:²"]
)
def test_a_target_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(AddressError, match=r"--livelink .* is not HOST:PORT, such as"):
        Target.parse(text, "--livelink")


def test_a_host_that_is_not_known_is_refused_and_nothing_is_left_open(receiver):
    outputs = Outputs(vmc=Target(*receiver.getsockname()), livelink=Target("no.such.host.invalid", 54321))
    with pytest.raises(AddressError, match=r"--livelink no\.such\.host\.invalid:54321: .*name a host"):
        outputs.open_senders()
