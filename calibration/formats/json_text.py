"""JSON that anybody may have sent, read into an object with bounded depth."""

from __future__ import annotations

import json
import reprlib
from collections import Counter

from calibration.errors import CalibrationError
from calibration.formats.fields import name_keys
from calibration.formats.nesting import check_json_nesting


def parse_json(text: str) -> dict[str, object]:
    """Read a JSON object.

    Raises:
        CalibrationError: If it is not one, nests too deep, or gives a key twice.
    """
    check_json_nesting(text)
    doubled: set[str] = set()

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        mapping = dict(pairs)
        if len(mapping) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            doubled.update(key for key in counts if counts[key] > 1)
        return mapping

    try:
        data = json.loads(text, object_pairs_hook=once)
    except ValueError as error:
        raise CalibrationError({"": [f"not JSON: {error}; export it again"]}) from error
    if not isinstance(data, dict):
        raise CalibrationError({"": [f"the file holds {reprlib.repr(data)}; give an object"]})
    if doubled:
        raise CalibrationError({"": [f"{name_keys(sorted(doubled))} given more than once; keep one"]})
    return data
