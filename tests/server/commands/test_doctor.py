from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from calibration import Camera, Rig
from calibration.files import save_calibration
from server.commands import checkup
from server.commands.doctor import doctor

app = typer.Typer()
app.command()(doctor)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def rig_file(tmp_path: Path) -> Path:
    K = np.array([[500, 0, 320], [0, 500, 240], [0, 0, 1.0]])
    save_calibration(Rig((Camera("a", 640, 480, K),)), tmp_path / "calibration.json")
    path = tmp_path / "rig.yaml"
    path.write_text("cameras: [{id: a, source: {type: synthetic}}]\ncalibration: calibration.json\n")
    return path


def test_this_machine_is_ready() -> None:
    result = CliRunner().invoke(app, ["--port", str(free_port())])
    assert result.exit_code == 0, result.output
    subjects = [line.split()[1] for line in result.stdout.splitlines()[:-1]]
    assert subjects == ["Python:", "packages:", "CPU:", "ONNX", "GPU:", "port:", "shared", "V4L2"]
    assert result.stdout.splitlines()[-1].startswith("Ready")


def test_a_port_in_use_fails_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["--port", str(port)])
    assert result.exit_code == 1
    (line,) = [line for line in result.stdout.splitlines() if line.startswith("FAIL")]
    assert f"port {port} on 127.0.0.1 is in use" in line
    assert "-> stop what uses it" in line


def test_a_rig_is_looked_at_too(rig_file: Path) -> None:
    result = CliRunner().invoke(app, ["--rig", str(rig_file), "--port", str(free_port())])
    assert result.exit_code == 0, result.output
    for part in ("rig file: 1 cameras", "camera a: synthetic", "needed by the rig"):
        assert part in result.stdout


def test_a_broken_calibration_fails_with_every_reason(rig_file: Path) -> None:
    path = rig_file.with_name("calibration.json")
    path.write_text('{"cameras": [{"id": "a"}]}')
    result = CliRunner().invoke(app, ["--rig", str(rig_file), "--port", str(free_port())])
    assert result.exit_code == 1
    assert result.stdout.count(f"FAIL calibration: calibration {path}: camera 'a'") == 6


def test_a_broken_rig_file_fails(rig_file: Path) -> None:
    rig_file.write_text("cameras: []")
    findings = list(checkup.check_rig(rig_file))
    assert [finding.state for finding in findings] == ["FAIL"]


def test_a_source_that_does_not_fit_fails(rig_file: Path) -> None:
    rig_file.write_text(rig_file.read_text().replace("{type: synthetic}", "{type: opencv, device: 987654}"))
    findings = {finding.subject: finding for finding in checkup.examine(rig_file, free_port())}
    assert findings["camera a"].state == "FAIL"
    assert "/dev/video987654 does not exist" in findings["camera a"].detail


@pytest.mark.parametrize(("version", "state"), [((3, 10), "FAIL"), ((3, 11), "OK"), ((3, 13), "OK"), ((3, 14), "FAIL")])
def test_pythons(version: tuple[int, int], state: str) -> None:
    assert checkup.check_python(version).state == state


def test_packages_that_are_missing_or_old_are_named() -> None:
    needed = ["numpy>=2.1", "no-such-package>=1", "rich>=9999.1", "torch>=1; extra == 'train'", "pydantic[email]>=2.11"]
    finding = next(iter(checkup.check_packages(needed)))
    assert finding.state == "FAIL"
    assert finding.detail.startswith("no-such-package is missing; rich is ")
    assert finding.detail.endswith(", 9999.1 or newer is needed")
    assert finding.remedy


def test_a_package_that_does_not_load_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise ImportError("libGL.so.1: cannot open shared object file")

    monkeypatch.setattr(checkup.importlib, "import_module", broken)
    findings = list(checkup.check_packages(["numpy"]))[1:]
    assert {finding.state for finding in findings} == {"FAIL"}
    assert all("libGL" in finding.detail for finding in findings)


def test_one_cpu_is_few_but_works() -> None:
    assert [checkup.check_cpu(count).state for count in (1, 2, 64)] == ["WARN", "OK", "OK"]


def test_no_gpu_is_fine(tmp_path: Path) -> None:
    finding = checkup.check_gpu(tmp_path, driver=False)
    assert (finding.state, finding.detail) == ("OK", "none; the CPU is used")


def test_a_gpu_says_what_would_use_it_and_why_not(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidiactl").touch()
    none = {"TensorRT": "no plan; build one", "PyTorch": "PyTorch 2.9 is built without CUDA"}
    unused = checkup.check_gpu(tmp_path, driver=True, reasons=none)
    assert unused.state == "WARN"
    assert unused.detail.startswith(
        "nvidia0; TensorRT: no, since no plan; build one; PyTorch: no, since PyTorch 2.9 is"
    )
    assert unused.detail.endswith("the CPU is used")
    assert "docs/gpu.md" in unused.remedy
    used = checkup.check_gpu(tmp_path, driver=True, reasons=none | {"PyTorch": None})
    assert (used.state, used.remedy) == ("OK", "")
    assert "PyTorch: can run networks here" in used.detail
    assert "TensorRT: no, since no plan" in used.detail


def test_a_gpu_without_its_library_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    finding = checkup.check_gpu(tmp_path, driver=False)
    assert finding.state == "WARN"
    assert "the CUDA driver's library is not found" in finding.detail
    assert "container toolkit" in finding.remedy


def test_the_reasons_of_this_machine_are_words() -> None:
    assert all(reason is None or reason for reason in checkup.gpu_reasons().values())


def test_a_runtime_without_a_cpu_provider_fails() -> None:
    assert checkup.check_providers(()).state == "FAIL"
    assert checkup.check_providers().state == "OK"


def test_shared_memory_that_is_too_small_fails_for_a_rig_only() -> None:
    mib = 1 << 20
    fails = checkup.check_shared_memory(100 * mib, 64 * mib, of_rig=True)
    assert fails.state == "FAIL"
    assert "--shm-size=141m" in fails.remedy
    assert checkup.check_shared_memory(100 * mib, 64 * mib, of_rig=False).state == "WARN"
    assert checkup.check_shared_memory(100 * mib, 101 * mib, of_rig=True).state == "OK"
    assert checkup.check_shared_memory(100 * mib, None, of_rig=True).state == "OK"


def test_shared_memory_that_cannot_be_written_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.os, "access", lambda _path, _mode: False)
    assert checkup.check_shared_memory(1, 2, of_rig=False).state == "FAIL"


def test_cameras_are_needed_only_by_those_who_use_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkup.check_video_devices(needed=False, devices=tmp_path).state == "OK"
    assert checkup.check_video_devices(needed=True, devices=tmp_path).state == "FAIL"
    for name in ("video10", "video2"):
        (tmp_path / name).touch()
    assert checkup.check_video_devices(needed=True, devices=tmp_path).detail == "video2, video10"
    monkeypatch.setattr(checkup.os, "access", lambda path, _mode: path.name != "video2")
    finding = checkup.check_video_devices(needed=True, devices=tmp_path)
    assert (finding.state, finding.remedy) == ("WARN", "add the user to the group video and log in again")
