"""Asking a running service to change its model."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlsplit

from engine.backends.base import read_model
from server.routes import API_PREFIX

_TIMEOUT_S: Final = 60.0
_OK: Final = 200
_NOT_FOUND: Final = 404
_MOST_BYTES: Final = 1 << 20


class ServiceRefusedError(ValueError):
    """The service did not do what it was asked for, with its reason."""


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    """Where a service answers.

    Args:
        host: Its name or address.
        port: Its port.
        secure: Whether it is spoken to over TLS.
        token: What it is shown; None shows none.
    """

    host: str
    port: int
    secure: bool
    token: str | None

    @classmethod
    def parse(cls, url: str, option: str, token: str | None) -> Self:
        """Read an address such as `http://127.0.0.1:8000`.

        Raises:
            ValueError: If it is none.
        """
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.path not in ("", "/"):
            raise ValueError(f"{option} {url!r} is no address of a service; give one such as http://127.0.0.1:8000")
        secure = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if secure else 80), secure, token or None)

    @property
    def url(self) -> str:
        """The address in one word."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http{'s' if self.secure else ''}://{host}:{self.port}"


def choose_model(address: ServiceAddress, model: Path) -> str:
    """Have a service run a model that lies in its folder of models.

    Args:
        address: The service's.
        model: The file; the service is told its name only.

    Returns:
        The id of the model that runs then.

    Raises:
        ServiceRefusedError: If it does not, with its reason and what to do.
    """
    remedy = f"start it with --models {model.parent}, or copy {model} into its folder of models"
    status, answer = _post(address, f"{API_PREFIX}/engine", {"model": model.name})
    if status != _OK:
        hint = f"; {remedy}" if status == _NOT_FOUND else ""
        raise ServiceRefusedError(f"{address.url} runs on as before: {_reason(status, answer)}{hint}")
    running = str(answer.get("model_id"))
    wanted = model_id_of(model)
    if running != wanted:
        raise ServiceRefusedError(
            f"{address.url} runs {running} now, not {wanted}: its {model.name} is another file; {remedy}"
        )
    return running


def model_id_of(model: Path) -> str:
    """The id that an exported network's answers will name."""
    from engine.backends.onnxruntime_backend import OnnxRuntimeRuntime

    runtime = OnnxRuntimeRuntime.from_bytes(read_model(model), str(model), 1)
    try:
        return runtime.card.model_id
    finally:
        runtime.close()


def _post(address: ServiceAddress, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    connection = kind(address.host, address.port, timeout=_TIMEOUT_S)
    headers = {"content-type": "application/json"}
    if address.token is not None:
        headers["authorization"] = f"Bearer {address.token}"
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read(_MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        raise ServiceRefusedError(f"{address.url} does not answer ({error}); is the service running there?") from error
    finally:
        connection.close()
    try:
        answer = json.loads(content)
    except ValueError:
        answer = {}
    return response.status, answer if isinstance(answer, dict) else {}


def _reason(status: int, answer: dict[str, Any]) -> str:
    if status == http.client.UNAUTHORIZED:
        return "it wants its token; set USTHAND_TOKEN"
    return str(answer.get("detail", f"it answered with status {status}"))
