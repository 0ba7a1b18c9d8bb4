"""What Prometheus is told about the current recording."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.recording.recordings import Recordings
from server.recording.status import STATES


class RecordingCollector(Collector):
    """Tells the state of the current recording at the time of a scrape; the counts begin anew with each recording.

    Args:
        recordings: The service's.
    """

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def describe(self) -> Iterable[Metric]:
        """Name nothing ahead: metrics come from running parts."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        current = self._recordings.current
        state = GaugeMetricFamily("usthand_recording_state", "1 for the current recording's state.", labels=["state"])
        for name in STATES:
            state.add_metric([name], int(current is not None and current.state == name))
        yield state
        if current is None:
            return
        yield CounterMetricFamily("usthand_recording_frame_sets", "Frame sets recorded.", current.frame_sets)
        yield CounterMetricFamily("usthand_recording_hands", "Messages with hands recorded.", current.hands)
        yield GaugeMetricFamily("usthand_recording_bytes", "Size of the recording.", current.size_bytes)
        drops = CounterMetricFamily(
            "usthand_recording_drops", "Frame sets that were not recorded, by cause.", labels=["cause"]
        )
        for cause, count in current.drops.items():
            drops.add_metric([cause], count)
        yield drops
        yield CounterMetricFamily(
            "usthand_recording_hands_dropped", "Messages with hands that were not recorded.", current.hands_dropped
        )
