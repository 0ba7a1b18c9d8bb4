"""What the viewer says: states, advice, verdicts; against the names and answers that the service really gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest

from calibration.files import FILE_FORMATS, calibration_to_dict
from capture.state import CameraStateName, DropCause
from server.recording.status import STATES, RecordingStatus
from tests.server.viewer.markup import page_of
from tests.server.viewer.node import Run, needs_node

PAGE = Path(__file__).parents[3] / "server" / "viewer" / "index.html"

pytestmark = needs_node

CAMERA = """
const words = await import("./js/cameras/camera_words.js");
return given.map((camera) => ({
  state: words.cameraState(camera), level: words.cameraLevel(camera), trouble: words.cameraTrouble(camera),
  remarks: words.cameraRemarks(camera), pictures: words.mayHavePictures(camera),
}));
"""


def _camera(**values: Any) -> dict[str, Any]:
    return {"id": "cam2", "state": "streaming", "message": "", "calibration": {}, **values}


def test_every_state_of_a_camera_has_words_and_what_is_wrong_a_remedy(run: Run) -> None:
    states = get_args(CameraStateName)
    answers = dict(zip(states, run(CAMERA, [_camera(state=state) for state in states]), strict=True))
    assert len({answer["state"] for answer in answers.values()}) == len(states)
    for state, answer in answers.items():
        well = state == "streaming"
        assert answer["pictures"] is well
        assert (answer["level"] == "ok") is well
        assert (";" in answer["trouble"]) is not well, "what happened; what to do"
        assert ("taken back" in answer["trouble"]) is (state in {"stalled", "lost", "failed"})


def test_a_camera_that_does_not_fit_its_calibration_is_shown_with_what_to_do(run: Run) -> None:
    states = ("miscalibrated", "suspect")
    for answer in run(CAMERA, [_camera(state=state) for state in states]):
        assert answer["level"] == "bad"
        assert answer["pictures"], "it goes on streaming"
        assert "; " in answer["trouble"], "what happened; what to do"
        assert "calibrat" in answer["trouble"]


def test_the_services_own_words_come_before_ours(run: Run) -> None:
    said = "no frame for 3.2 s; check the camera's cable and its load"
    unknown = {"state": "warming_up", "message": ""}
    stalled, strange = run(CAMERA, [_camera(state="stalled", message=f"{said}."), _camera(**unknown)])
    assert stalled["trouble"] == f"{said}; it is taken back when it returns"
    assert strange == {"state": "Warming up", "level": "ok", "trouble": "", "remarks": "", "pictures": True}


def test_remarks_name_settings_drops_and_a_missing_calibration(run: Run) -> None:
    camera = _camera(
        warnings=["asked for 60 fps, the camera gives 30"], drops={"late": 2, "behind": 1200}, calibration=None
    )
    (answer,) = run(CAMERA, [camera])
    assert answer["remarks"].split(" · ") == [
        "asked for 60 fps, the camera gives 30",
        "not calibrated, so it is not used",
        "1,202 dropped: skipped 1,200, too late 2",
    ]


def test_every_cause_of_a_drop_has_a_name_and_a_meaning(run: Run, client: httpx.Client) -> None:
    of_service = {cause for cause in client.get("/api/v1/stats").json()["drops"] if cause != "frame_sets_unread"}
    causes = sorted({*get_args(DropCause), "frame_sets_superseded", "frame_sets_stopped", *of_service})
    body = """
    const { causeMeaning, causeName } = await import("./js/drop_causes.js");
    return given.map((cause) => [causeName(cause), causeMeaning(cause)]);
    """
    words = dict(zip(causes, run(body, causes), strict=True))
    assert all(name and meaning for name, meaning in words.values()), words
    assert len({name for name, _ in words.values()}) == len(causes)


WATCH = """
const { DropWatch } = await import("./js/drop_causes.js");
const { speedAdvice } = await import("./js/advice.js");
const watch = new DropWatch(10000);
const steps = given.map((sample) => watch.add(sample).drops);
return { steps, lately: watch.lately(), advice: speedAdvice(watch.lately()) };
"""


def _samples(count: int, **rates: int) -> list[dict[str, Any]]:
    """Counters that rise by as much in every two seconds."""
    frames, sets = rates.pop("frames", 200), rates.pop("sets", 50)
    return [
        {"atMs": 2000 * i, "frames": frames * i, "sets": sets * i, "drops": {name: n * i for name, n in rates.items()}}
        for i in range(count)
    ]


def test_lately_is_the_last_seconds_and_not_all_since_the_start(run: Run) -> None:
    samples = _samples(4, behind=100) + [{**_samples(4, behind=100)[3], "atMs": 2000 * i} for i in range(4, 30)]
    answer = run(WATCH, samples)
    assert answer["steps"][:5] == [{}, {"behind": 100}, {"behind": 100}, {"behind": 100}, {}]
    assert answer["lately"] == {"frames": 0, "sets": 0, "drops": {}}
    assert answer["advice"] == []


def test_a_service_that_was_started_again_is_not_compared_with_itself_before(run: Run) -> None:
    answer = run(WATCH, [*_samples(5, behind=100), {"atMs": 20000, "frames": 3, "sets": 1, "drops": {"behind": 1}}])
    assert answer["steps"][-1] == {}
    assert answer["lately"] is None


@pytest.mark.parametrize(
    ("rates", "hint"),
    [
        ({"behind": 120}, "60 % of the frames"),
        ({"behind": 120, "late": 10}, "60 % of the frames"),
        ({"behind": 120, "unmatched": 130}, ""),  # Something else is the matter.
        ({"behind": 10}, ""),  # An odd frame.
        ({"frame_sets_superseded": 50}, "50 % of the frame sets"),
        ({"messages": 500}, ""),  # A client's business.
        ({}, ""),
    ],
)
def test_the_hint_about_speed_comes_when_skipping_dominates(run: Run, rates: dict[str, int], hint: str) -> None:
    advice = run(WATCH, _samples(6, **rates))["advice"]
    assert len(advice) == bool(hint)
    for each in advice:
        assert hint in each["words"]
        assert "fewer views" in each["words"]
        assert "--model detector-lite" in each["words"]


def test_advice_names_cameras_in_trouble_and_new_errors_only(run: Run) -> None:
    body = """
    const { cameraAdvice, engineAdvice } = await import("./js/advice.js");
    return [...cameraAdvice(given.cameras), ...engineAdvice({ ValueError: 2 }, { ValueError: 2, RuntimeError: 1 })];
    """
    cameras = [_camera(id="cam0"), _camera(id="cam1", state="lost"), _camera(id="cam2", state="ended")]
    advice = run(body, {"cameras": cameras})
    assert [(each["id"], each["level"]) for each in advice] == [
        ("camera cam1", "bad"),
        ("camera cam2", "wait"),
        ("engine RuntimeError", "bad"),
    ]
    assert advice[0]["words"].startswith("cam1: ")
    assert "one frame set" in advice[2]["words"]
    over = [_camera(id="cam0"), *(_camera(id=f"cam{number}", state="ended") for number in (1, 2))]
    (together,) = run(body, {"cameras": over})[:-1]
    assert together["words"].startswith("cam1, cam2: ")


def test_errors_of_the_engine_are_news_since_the_page_was_opened_or_the_service_started_again(run: Run) -> None:
    body = """
    const { engineAdvice } = await import("./js/advice.js");
    const { ErrorWatch } = await import("./js/error_watch.js");
    const watch = new ErrorWatch();
    return given.map(([sets, errors]) => {
      watch.add(sets, errors);
      return engineAdvice(watch.before, errors).map((each) => each.words.split("(")[0]);
    });
    """
    opened: list[Any] = [[900, {"ValueError": 5}], [1000, {"ValueError": 6}]]
    again: list[Any] = [[3, {}], [60, {"ValueError": 4}], [80, {"ValueError": 7}]]
    assert run(body, opened + again) == [
        [],
        ["The engine failed on one frame set "],
        [],
        ["The engine failed on 4 frame sets "],
        ["The engine failed on 7 frame sets "],
    ]
    # No frame set was answered by either, so that their errors alone tell them apart.
    assert run(body, [[0, {"ValueError": 5}], [0, {"ValueError": 2}]])[1] == ["The engine failed on 2 frame sets "]


def test_the_connection_is_said_in_plain_words(run: Run) -> None:
    body = """
    const { connectionInWords } = await import("./js/words.js");
    return given.map(connectionInWords);
    """
    states: list[dict[str, Any]] = [
        {"phase": "open"},
        {"phase": "connecting"},
        {"phase": "connecting", "reason": "It went."},
        {"phase": "waiting", "retryInS": 3},
    ]
    assert run(body, states) == [
        "Connected",
        "Connecting ...",
        "It went - reconnecting now",
        "Service not reachable - reconnecting in 3 s",
    ]


NOTICE = """
const { noticeInWords, staleAfterMs } = await import("./js/notice.js");
const here = { connection: { phase: "open" }, ended: false, fresh: true, heard: true };
const well = { ...here, notReady: "", hands: 1, viewsUsed: 4, cameras: 4 };
return { words: given.map((change) => noticeInWords({ ...well, ...change })), stale: [0, 1, 5, 100].map(staleAfterMs) };
"""


def test_the_stage_says_why_no_hand_is_to_be_seen(run: Run) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"hands": 0},
        {"hands": 0, "viewsUsed": 1},
        {"fresh": False},
        {"fresh": False, "heard": False},
        {"fresh": False, "notReady": "Engine: starting"},
        {"connection": {"phase": "waiting", "retryInS": 2}, "fresh": False},
        {"ended": True, "fresh": False, "hands": 0, "viewsUsed": 0, "notReady": "Engine: finished"},
        {"ended": True, "connection": {"phase": "waiting", "retryInS": 2}},
    ]
    answer = run(NOTICE, changes)
    assert answer["words"] == [
        "",
        "No hand in view",
        "No hand in view: only one camera of 4 gave a picture in time",
        "Connected, waiting for the next pictures",
        "Connected, waiting for the first pictures",
        "Engine: starting",
        "Service not reachable - reconnecting in 2 s",
        "The footage is over",
        "Service not reachable - reconnecting in 2 s",
    ]
    assert answer["stale"] == [2000, 2000, 600, 500]


def test_readiness_names_the_parts_that_are_not_fine(run: Run, client: httpx.Client) -> None:
    body = 'const { troubles } = await import("./js/readiness.js"); return troubles(given);'
    fine = client.get("/readyz").json()
    assert run(body, fine) == []
    assert run(body, {**fine, "engine": {"state": "failed", "message": "ValueError: no"}}) == ["Engine: ValueError: no"]


VERDICT = 'const { verdictOf } = await import("./js/calibration/calibration_words.js"); return verdictOf(given);'


def _upload(client: httpx.Client, rig: Any, change: Any, *, dry_run: bool = True) -> Any:
    content = calibration_to_dict(rig)
    change(content["cameras"])
    return client.put("/api/v1/calibration", params={"dry_run": dry_run}, content=json.dumps(content)).json()


def test_a_dry_run_is_judged_camera_by_camera(run: Run, client: httpx.Client, rig: Any) -> None:
    def bump(cameras: list[dict[str, Any]]) -> None:
        T = np.array(cameras[0]["T_camera_world"])
        T[:3, 3] += T[:3, :3] @ [0.0, 0.012, 0.0]
        cameras[0]["T_camera_world"] = T.tolist()
        cameras[1]["K"][0][0] *= 1.3

    verdict = run(VERDICT, _upload(client, rig, bump))
    lines = {line["camera"]: line for line in verdict["lines"]}
    assert verdict["headline"].startswith("Can be used")
    assert verdict["level"] == "wait"
    assert lines["cam0"] == {"camera": "cam0", "level": "ok", "words": "moved 12.0\u202fmm"}
    assert "+30.00\u202f%" in lines["cam1"]["words"]
    assert "is it this rig's file?" in lines["cam1"]["words"]
    assert lines["cam2"] == {"camera": "cam2", "level": "ok", "words": "as now"}


def test_a_refusal_says_why_and_that_nothing_changed(run: Run, client: httpx.Client, rig: Any) -> None:
    verdict = run(VERDICT, _upload(client, rig, lambda cameras: cameras.pop(0)))
    assert verdict["level"] == "bad"
    assert "the running calibration stays" in verdict["headline"]
    ((camera, level),) = {(line["camera"], line["level"]) for line in verdict["lines"]}
    assert (camera, level) == ("cam0", "bad")
    broken = run(VERDICT, client.put("/api/v1/calibration", params={"dry_run": True}, content=b"{").json())
    assert broken["level"] == "bad"
    assert broken["lines"] or "stays:" in broken["headline"]


def test_what_is_used_is_told_with_its_version_and_its_place_in_the_history(
    run: Run, client: httpx.Client, rig: Any
) -> None:
    def swap_focal(cameras: list[dict[str, Any]]) -> None:
        cameras[0]["K"][0][0] *= 1.001

    assert run(VERDICT, _upload(client, rig, swap_focal, dry_run=False))["headline"] == "In use now as version 2"
    body = """
    const { versionInWords } = await import("./js/calibration/calibration_words.js");
    return given.map(versionInWords);
    """
    first, second = run(body, client.get("/api/v1/calibration/history").json()["versions"])
    assert (first["number"], first["running"], second["number"], second["running"]) == (1, False, 2, True)
    assert first["words"].startswith("from the start, ")
    assert second["words"].startswith("uploaded, ")


def test_formats_come_from_the_services_description_where_it_lists_them(run: Run, client: httpx.Client) -> None:
    body = """
    const { formatOf } = await import("./js/calibration/calibration_words.js");
    const { uploadFormats } = await import("./js/offers.js");
    const names = ["camera_array.TOML", "calibration.toml", "camchain.yaml", "rig.yml", "calibration.json", "x"];
    return { formats: given.map(uploadFormats), guessed: names.map(formatOf) };
    """
    parameter = {"name": "format", "schema": {"enum": ["usthand", "kalibr"]}}
    listed = {"paths": {"/api/v1/calibration": {"put": {"parameters": [parameter]}}}}
    answer = run(body, [listed, None, {}, client.get("/openapi.json").json()])
    assert answer["formats"][0] == ["usthand", "kalibr"]
    assert answer["formats"][1] == answer["formats"][2]
    assert all("usthand" in formats for formats in answer["formats"])
    assert answer["formats"][3] == list(FILE_FORMATS)
    assert answer["guessed"] == ["caliscope", "anipose", "kalibr", "opencv", "usthand", "usthand"]


def test_recording_is_offered_only_where_the_service_can(run: Run) -> None:
    body = 'const { canRecord } = await import("./js/offers.js"); return given.map(canRecord);'
    paths: list[Any] = [{}, {"/api/v1/recordings": {"get": {}}}, {"/api/v1/recordings": {"post": {}}}]
    assert run(body, [None, *({"paths": path} for path in paths)]) == [False, False, False, True]


RECORDING = """
const { recordingInWords, resultInWords } = await import("./js/recording_words.js");
return { views: given.map(recordingInWords), results: given.filter(Boolean).map(resultInWords) };
"""


def test_every_state_of_a_recording_is_told(run: Run) -> None:
    drops = {"disk_slow": 3}
    statuses = [
        RecordingStatus(
            "take", state, "free some space" if state == "disk_full" else "", "", "jpeg", seconds=75.4, drops=drops
        )
        for state in STATES
    ]
    answer = run(RECORDING, [None, *(status.to_map() for status in statuses)])
    none, *views = answer["views"]
    assert none == {"active": False, "stopping": False, "label": "Record", "trouble": ""}
    for status, view in zip(statuses, views, strict=True):
        assert view["active"] is status.active
        assert bool(view["trouble"]) is (status.state != "finished")
    by_state = {status.state: view for status, view in zip(statuses, views, strict=True)}
    assert by_state["recording"]["label"] == "Stop 1:15"
    assert "3 frame sets missing (disk slow 3)" in by_state["recording"]["trouble"]
    assert by_state["stopping"]["stopping"] is True
    assert by_state["disk_full"]["trouble"] == "Recording take ended by itself: free some space"


def test_what_became_of_a_recording_is_told_with_what_is_missing(run: Run) -> None:
    whole = RecordingStatus("take", "finished", "", "", "png", frame_sets=1, seconds=2.04, size_bytes=3 << 20)
    cut = replace(whole, frame_sets=1200, drops={"encoding_slow": 1})
    assert run(RECORDING, [whole.to_map(), cut.to_map()])["results"] == [
        "Recorded take: 1 frame set in 2.0 s, 3.0 MiB; nothing is missing",
        "Recorded take: 1,200 frame sets in 2.0 s, 3.0 MiB; 1 frame set missing (encoding slow 1)",
    ]


PANELS = """
const { FIRST_PANELS, openPanels, readPanels, withToggled } = await import("./js/panels.js");
const walk = (narrow) => {
  let panels = FIRST_PANELS;
  return given.map((panel) => [...openPanels((panels = withToggled(panels, panel, narrow)), narrow)]);
};
const kept = [null, { dock: "kitchen", timeline: "yes", sheet: 3 }, { dock: "", timeline: false, sheet: "timeline" }];
return { wide: walk(false), narrow: walk(true), kept: kept.map(readPanels), first: FIRST_PANELS };
"""


def test_panels_share_the_room_that_there_is(run: Run) -> None:
    answer = run(PANELS, ["calibration", "timeline", "calibration", "cameras", "timeline"])
    assert answer["wide"] == [["calibration", "timeline"], ["calibration"], [], ["cameras"], ["cameras", "timeline"]]
    assert answer["narrow"] == [["calibration"], ["timeline"], ["calibration"], ["cameras"], ["timeline"]]
    assert all(len(open_) <= 1 for open_ in answer["narrow"])


def test_what_was_kept_of_the_panels_is_not_trusted(run: Run) -> None:
    answer = run(PANELS, [])
    assert answer["kept"][0] == answer["kept"][1] == answer["first"]
    assert answer["kept"][2] == {"dock": "", "timeline": False, "sheet": "timeline"}


SHORTCUTS = """
const { SHORTCUTS, wishOf } = await import("./js/shortcuts.js");
const press = (key, more = {}) => ({ key, ...more });
return {
  table: SHORTCUTS,
  wishes: given.keys.map((key) => wishOf(press(key), { tagName: "BODY" })),
  typing: ["INPUT", "SELECT", "TEXTAREA"].map((tagName) => wishOf(press("m"), { tagName })),
  held: ["ctrlKey", "metaKey", "altKey", "repeat"].map((name) => wishOf(press("m", { [name]: true }), null)),
};
"""


def test_single_keys_do_what_the_help_says_and_nothing_while_somebody_types(run: Run) -> None:
    answer = run(SHORTCUTS, {"keys": ["m", "M", "3", "0", "?", "x", "Enter"]})
    keys = [key for entry in answer["table"] for key in entry["keys"]]
    assert len(keys) == len(set(keys))
    assert answer["wishes"] == [
        {"action": "layer", "argument": "mesh"},
        {"action": "layer", "argument": "mesh"},
        {"action": "camera", "argument": "3"},
        {"action": "reset", "argument": "0"},
        {"action": "help", "argument": "?"},
        None,
        None,
    ]
    assert answer["typing"] == [None] * 3
    assert answer["held"] == [None] * 4


def test_shortcuts_name_controls_that_are_on_the_page(run: Run) -> None:
    controls = set(page_of(PAGE).controls)
    for entry in run(SHORTCUTS, {"keys": []})["table"]:
        action, argument = entry["does"].split(":")
        if action in {"layer", "panel"}:
            assert argument in controls


def test_milliseconds_keep_to_the_width_of_a_tile(run: Run) -> None:
    body = 'const { milliseconds } = await import("./js/words.js"); return given.map(milliseconds);'
    said = [words.replace("\u202f", " ") for words in run(body, [0, 1.26, 99.94, 99.96, 1049.04, 9999.7, 12372, None])]
    assert said == ["0.0 ms", "1.3 ms", "99.9 ms", "100 ms", "1049 ms", "10.0 s", "12.4 s", "\u2013"]
