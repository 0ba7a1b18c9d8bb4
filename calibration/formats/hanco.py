"""HanCo's `calib/SEQUENCE/FRAME.json`: lists `K` and `M` (world to camera), metres, without names or image sizes."""

from __future__ import annotations

from calibration.errors import CalibrationError
from calibration.formats.assemble import CameraDraft, assemble_rig, check_camera_count
from calibration.formats.fields import Fields
from calibration.formats.json_text import parse_json
from calibration.rig import Rig


def rig_from_json(text: str, size: tuple[int, int]) -> Rig:
    """Read one frame's cameras; camera `n` becomes `camn`, as HanCo names its folders of pictures.

    They have no distortion. The size of the pictures stands nowhere in the files.

    Raises:
        CalibrationError: With every reason, by camera id, if anything is wrong.
    """
    data = parse_json(text)
    K, M = data.get("K"), data.get("M")
    if not isinstance(K, list) or not isinstance(M, list) or not K or len(K) != len(M):
        raise CalibrationError({"": ["K and M are not two lists of one matrix a camera; is this HanCo's calib file?"]})
    check_camera_count(len(K))
    drafts = []
    for number, (intrinsics, extrinsics) in enumerate(zip(K, M, strict=True)):
        draft = CameraDraft(f"cam{number}", size=size, model="brown-conrady")
        fields = Fields({"K": intrinsics, "M": extrinsics}, draft.problems)
        draft.K, draft.T_camera_world = fields.array("K", (3, 3)), fields.array("M", (4, 4))
        drafts.append(draft)
    return assemble_rig(drafts)
