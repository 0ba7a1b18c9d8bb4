"""What the container promises: no privileges, no open port without a token, everything it needs and nothing else."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = {name: (ROOT / "docker" / name).read_text() for name in ("Dockerfile", "Dockerfile.gpu")}
DOCKERFILE = DOCKERFILES["Dockerfile"]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())

dockerfiles = pytest.mark.parametrize("dockerfile", DOCKERFILES.values(), ids=DOCKERFILES)
services = pytest.mark.parametrize("service", COMPOSE["services"].values(), ids=COMPOSE["services"])


def instructions(name: str, dockerfile: str = DOCKERFILE) -> list[str]:
    return re.findall(rf"^{name} (.*)$", dockerfile.replace("\\\n", " "), re.MULTILINE)


@services
def test_a_service_has_no_privileges(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - in the container
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] is True
    assert service["restart"] == "unless-stopped"
    assert service["shm_size"] == "1gb"
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "user"} & service.keys()


@services
def test_a_service_is_for_this_machine_and_wants_a_token(service: dict[str, Any]) -> None:
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    assert re.fullmatch(r"\$\{USTHAND_TOKEN:\?[^}$]+\}", service["environment"]["USTHAND_TOKEN"])
    assert "--insecure" not in service["command"]


def test_the_rig_folder_cannot_be_written_and_is_never_made_up() -> None:
    (volume,) = COMPOSE["services"]["service"]["volumes"]
    assert (volume["type"], volume["target"], volume["read_only"]) == ("bind", "/rig", True)
    assert volume["bind"] == {"create_host_path": False}
    assert "volumes" not in COMPOSE["services"]["demo"]


def test_one_service_starts_at_a_time_since_they_share_a_port() -> None:
    assert [service["profiles"] for service in COMPOSE["services"].values()] == [["rig"], ["demo"], ["gpu"]]


@services
def test_the_command_is_one_that_usthand_has(service: dict[str, Any]) -> None:
    cli = pytest.importorskip("server.cli")
    command, *arguments = shlex.split(service["command"])
    known = typer.main.get_command(cli.app)
    options = {option for parameter in known.commands[command].params for option in parameter.opts}  # type: ignore[attr-defined]
    assert {argument for argument in arguments if argument.startswith("--")} <= options


@services
def test_both_health_checks_ask_the_same(service: dict[str, Any]) -> None:
    kind, *command = service["healthcheck"]["test"]
    used = DOCKERFILES[Path(service["build"]["dockerfile"]).name]
    (in_image,) = instructions("HEALTHCHECK", used)
    assert kind == "CMD"
    assert all(f'"{word}"' in in_image for word in command)
    assert "/healthz" in command[-1]


@dockerfiles
def test_the_image_runs_as_a_user_and_stops_on_sigterm(dockerfile: str) -> None:
    last_stage = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert "USER 10001:10001" in last_stage
    assert instructions("STOPSIGNAL", dockerfile) == ["SIGTERM"]
    assert instructions("ENTRYPOINT", dockerfile) == ['["usthand"]']
    assert not re.search(r"\bpip\b", last_stage)


def test_the_bases_are_of_one_version() -> None:
    assert re.search(r":\d+\.\d+-slim", instructions("ARG")[0])
    bases = instructions("FROM", DOCKERFILES["Dockerfile.gpu"])
    assert bases == ["nvidia/cuda:${CUDA}-devel-${DISTRIBUTION} AS build", "nvidia/cuda:${CUDA}-base-${DISTRIBUTION}"]
    assert re.fullmatch(r"CUDA=13\.\d+\.\d+", instructions("ARG", DOCKERFILES["Dockerfile.gpu"])[0])


def test_pycuda_is_built_without_what_the_last_image_lacks() -> None:
    (built,) = [line for line in instructions("RUN", DOCKERFILES["Dockerfile.gpu"]) if "pip install" in line]
    settings = "echo 'CUDA_ENABLE_CURAND = False' > ~/.aksetup-defaults.py"
    assert settings in built[: built.index("pip install")]


def test_the_gpu_service_has_one_gpu_and_writes_only_plans() -> None:
    service = COMPOSE["services"]["gpu"]
    (device,) = service["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    rig, plans = service["volumes"]
    assert rig == COMPOSE["services"]["service"]["volumes"][0]
    assert (plans["type"], plans["source"], plans["target"]) == ("volume", "plans", "/plans")
    assert "plans" in COMPOSE["volumes"]
    assert "USTHAND_PLANS=/plans" in DOCKERFILES["Dockerfile.gpu"]
    assert instructions("VOLUME", DOCKERFILES["Dockerfile.gpu"]) == ["/plans"]


@dockerfiles
def test_versions_are_those_of_the_constraints(dockerfile: str) -> None:
    installs = [line for line in instructions("RUN", dockerfile) if "pip" in line and " install " in line]
    assert "--constraint constraints.txt" in installs[-1]
    assert "constraints.txt" in instructions("COPY", dockerfile)[0]


@dockerfiles
def test_every_package_is_copied_and_none_is_kept_out(dockerfile: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    files = ["constraints.txt", "pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    copied = {word for line in instructions("COPY", dockerfile) if "--from" not in line for word in line.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed == {*packages, *files}
