from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from calibration.files import calibration_to_dict, save_calibration
from server import network
from server.access import Access
from server.datagrams import Target
from server.network import AddressError, listen, url_for_others, url_of
from server.outputs import Outputs
from server.pipeline import Pipeline
from server.service import Service, ServiceSettings


def service(port, rig, session, engine, announce=print, *, access=None, outputs=None):
    settings = ServiceSettings("127.0.0.1", port, access or Access(), outputs or Outputs())
    return Service(settings, open_session=lambda: session, open_engine=lambda: engine, rig=rig, announce=announce)


def test_a_port_in_use_is_one_clear_line_before_anything_starts(rig, session, engine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"port {port} on 127.0.0.1 is in use; .*--port"):
            service(port, rig, session, engine).run()
    assert not session.started
    assert not engine.closed


def test_cameras_that_do_not_start_leave_nothing_behind(rig, session, engine, monkeypatch):
    def fail():
        raise OSError("no such device")

    monkeypatch.setattr(session, "start", fail)
    with pytest.raises(OSError, match="no such device"):
        service(0, rig, session, engine).run()
    assert session.stopped
    assert engine.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_announces_when_it_answers_and_ends_on_a_signal(rig, session, engine, number):
    told = []

    def announce(url):
        told.append(url)
        # As Ctrl-C does, once requests are answered.
        signal.raise_signal(number)

    service(0, rig, session, engine, announce).run()
    assert told[0].startswith("http://127.0.0.1:")
    assert session.stopped
    assert engine.closed


def test_further_signals_break_nothing_off(rig, session, engine, monkeypatch, capfd):
    """Who presses Ctrl-C several times wants it to end, not cameras that run on."""
    told = []
    end_engine, end_session = engine.close, session.stop

    def announce(url):
        told.append(url)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    def end(number, rest):
        def ended(*arguments):
            signal.raise_signal(number)
            rest(*arguments)

        return ended

    monkeypatch.setattr(engine, "close", end(signal.SIGINT, end_engine))
    monkeypatch.setattr(session, "stop", end(signal.SIGTERM, end_session))
    service(0, rig, session, engine, announce).run()
    assert told
    assert engine.closed
    assert session.stopped
    # Forced, the web server tears the application down and says so at length.
    assert "Traceback" not in capfd.readouterr().err


def test_leaps_port_in_use_is_one_clear_line_before_anything_starts(rig, session, engine):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(AddressError, match=f"port {port} on 127.0.0.1 is in use; .*--leap-port"):
            service(0, rig, session, engine, outputs=Outputs(leap_port=port)).run()
    assert not session.started


def test_a_receiver_that_is_not_known_is_one_clear_line_before_anything_starts(rig, session, engine):
    outputs = Outputs(vmc=Target("no.such.host.invalid", 39540))
    with pytest.raises(AddressError, match=r"--vmc no\.such\.host\.invalid:39540"):
        service(0, rig, session, engine, outputs=outputs).run()
    assert not session.started


def test_everything_else_that_is_spoken_starts_and_ends_with_the_service(rig, session, engine):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        told = []

        def receive():
            told.append(receiver.recv(65536))
            os.kill(os.getpid(), signal.SIGTERM)

        def announce(url):
            told.append(running.leap_address)
            # The event loop must go on meanwhile.
            threading.Thread(target=receive, daemon=True).start()

        outputs = Outputs(leap_port=0, livelink=Target(*receiver.getsockname()))
        # A token is for the service; Leap's clients cannot show one, and stay on this machine.
        running = service(0, rig, session, engine, announce, access=Access("secret"), outputs=outputs)
        running.run()
    assert told[0][0] == "127.0.0.1"
    assert b"usthand_" in told[1]
    with socket.socket() as again:
        again.bind(told[0])
    assert session.stopped


def test_leap_listens_for_others_only_where_the_service_is_open_anyway(rig, session, engine):
    hosts = {}
    for guarded in (True, False):
        settings = ServiceSettings("0.0.0.0", 0, Access(None, guard_browser=guarded), Outputs(leap_port=0))  # noqa: S104
        running = Service(settings, open_session=lambda: session, open_engine=lambda: engine, rig=rig, announce=print)
        running.startup()
        hosts[guarded] = running.leap_address[0]
        running.shutdown()
    assert hosts == {True: "127.0.0.1", False: "0.0.0.0"}  # noqa: S104


def test_a_failing_step_of_the_shutdown_does_not_keep_the_next(rig, session, engine, monkeypatch, caplog):
    monkeypatch.setattr(engine, "close", lambda: 1 / 0)
    running = service(0, rig, session, engine)
    running.startup()
    running.shutdown()
    assert session.stopped
    assert "a step of the shutdown failed" in caplog.text


@pytest.mark.parametrize(
    ("host", "port", "why"),
    [("no.such.host.invalid", 80, "not an address"), ("192.0.2.1", 0, "not an address of this")],
)
def test_addresses_that_are_none(host, port, why):
    with pytest.raises(AddressError, match=why):
        listen(host, port)


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "127.0.0.1"), ("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")],  # noqa: S104
)
def test_the_address_for_the_browser(host, shown):
    with listen(host, 0) as listener:
        assert url_of(listener, host) == f"http://{shown}:{listener.getsockname()[1]}/"


def test_other_machines_are_told_an_address_that_leads_here():
    with listen("0.0.0.0", 0) as listener:  # noqa: S104
        port = listener.getsockname()[1]
        found = urlsplit(url_for_others("0.0.0.0", port))  # noqa: S104
        assert found.port == port
        if found.hostname == socket.gethostname().lower():
            pytest.skip("this machine has no way to others")
        assert not found.hostname.startswith("127.")
        with socket.create_connection((found.hostname, port), 5):
            pass


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_a_machine_without_a_way_out_is_called_by_its_name(host, monkeypatch):
    class NoWay(socket.socket):
        def connect(self, _address):
            raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(network.socket, "socket", NoWay)
    monkeypatch.setattr(network.socket, "gethostname", lambda: "lab-pc")
    assert url_for_others(host, 8000) == "http://lab-pc:8000/"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "192.0.2.7", "::1"])
def test_one_address_needs_no_other(host):
    assert url_for_others(host, 8000) is None


def test_a_request_that_the_end_cuts_short_is_answered_and_leaves_no_traceback(
    rig, session, engine, monkeypatch, capfd
):
    engine.gate.clear()
    request_rig = Pipeline.request_rig

    def end_meanwhile(pipeline, wanted):
        done = request_rig(pipeline, wanted)
        signal.raise_signal(signal.SIGTERM)
        return done

    # The swap waits for an engine that is stuck.
    monkeypatch.setattr(Pipeline, "request_rig", end_meanwhile)
    answers = []
    asking = []

    def announce(url):
        def ask():
            answers.append(httpx.put(f"{url}api/v1/calibration", json=calibration_to_dict(rig), timeout=10))

        asking.append(threading.Thread(target=ask))
        asking[0].start()

    service(0, rig, session, engine, announce).run()
    engine.gate.set()
    asking[0].join(10)
    assert answers[0].status_code == 503
    assert "the service is ending" in answers[0].json()["detail"]
    assert "Traceback" not in capfd.readouterr().err


STUCK_IN_NATIVE_CODE = """
import signal, sys, threading
from pathlib import Path
import onnxruntime
import engine.detector
import engine.factory
import server.commands.sources
from server import cli
from tests.server.conftest import FakeEngine, FakeSession

network = Path(engine.detector.__file__).parent / "data" / "hand_landmark_full.onnx"

class Stuck(FakeEngine):
    def process(self, frame_set, rig):
        threading.Timer(0.5, signal.raise_signal, [signal.SIGTERM]).start()
        while True:
            onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])

engine.factory.open_engine = lambda *_, **__: Stuck(())
server.commands.sources.open_session = lambda config, rig, mode: FakeSession(rig)
cli.main()
"""


@pytest.mark.parametrize(
    "command", [["serve", "--port", "0", "--drift", "off"], ["record", "--out", "take"]], ids=["serve", "record"]
)
def test_an_engine_that_does_not_come_back_does_not_make_the_end_a_crash(rig, tmp_path, command):
    save_calibration(rig, tmp_path / "calibration.json")
    cameras = "".join(f"  - {{id: {camera.id}, source: {{type: synthetic}}}}\n" for camera in rig)
    (tmp_path / "rig.yaml").write_text(f"name: x\ncameras:\n{cameras}calibration: calibration.json\n")
    done = subprocess.run(
        [sys.executable, "-c", STUCK_IN_NATIVE_CODE, *command, "--rig", "rig.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert "leaving without it" in done.stderr
    assert "terminate called" not in done.stderr
    assert done.returncode == 0, done.stderr
