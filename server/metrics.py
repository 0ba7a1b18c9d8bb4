"""Prometheus metrics, read from the running parts at each scrape; a registry of the service's own."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from server.broadcaster import Broadcaster
from server.drift.status import watched_cameras
from server.drift.watch import DriftWatch
from server.pipeline import RUNNING, Pipeline
from server.solved import Solved

_BUCKETS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)


class ServiceCollector(Collector):
    """Tells the state of cameras, engine and clients at the time of a scrape.

    Args:
        pipeline: Cameras and engine.
        broadcaster: Clients.
        drift: Whether the calibration still fits.
    """

    def __init__(self, pipeline: Pipeline, broadcaster: Broadcaster, drift: DriftWatch) -> None:
        self._pipeline = pipeline
        self._broadcaster = broadcaster
        self._drift = drift

    def describe(self) -> Iterable[Metric]:
        """Name nothing ahead: metrics come from running parts."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read everything once."""
        yield from self._camera_metrics()
        yield from self._drift_metrics()
        yield from self._engine_metrics()
        yield from self._client_metrics()

    def _camera_metrics(self) -> Iterable[Metric]:
        frames = CounterMetricFamily("usthand_camera_frames", "Frames that a camera gave.", labels=["camera"])
        drops = CounterMetricFamily("usthand_camera_drops", "Frames lost, by cause.", labels=["camera", "cause"])
        rate = GaugeMetricFamily("usthand_camera_fps", "Frames a second, measured.", labels=["camera"])
        state = GaugeMetricFamily("usthand_camera_state", "1 for the state a camera is in.", labels=["camera", "state"])
        for camera in watched_cameras(self._pipeline.session.states(), self._drift.status):
            frames.add_metric([camera.id], camera.frames)
            rate.add_metric([camera.id], camera.fps)
            state.add_metric([camera.id, camera.state], 1)
            for cause, count in camera.drops.items():
                drops.add_metric([camera.id, cause], count)
        yield from (frames, drops, rate, state)

    def _drift_metrics(self) -> Iterable[Metric]:
        masked = GaugeMetricFamily(
            "usthand_camera_masked",
            "1 for a camera left out because it does not fit its calibration.",
            labels=["camera"],
        )
        blamed = GaugeMetricFamily(
            "usthand_camera_miscalibrated", "1 for a camera said not to fit, alone or as one of two.", labels=["camera"]
        )
        turned = GaugeMetricFamily(
            "usthand_camera_turned_degrees", "Turn against the calibration, where it does not fit.", labels=["camera"]
        )
        picture = GaugeMetricFamily(
            "usthand_camera_picture_turned_degrees", "Turn of the picture since its reference.", labels=["camera"]
        )
        late = GaugeMetricFamily(
            "usthand_camera_late_seconds", "Age of pictures beyond what their stamps say.", labels=["camera"]
        )
        for verdict in self._drift.status.verdicts.values():
            name = [verdict.camera_id]
            masked.add_metric(name, int(verdict.camera_id in self._pipeline.masked))
            blamed.add_metric(name, int(verdict.blamed))
            turned.add_metric(name, verdict.turned_deg)
            if verdict.picture_turned_deg is not None:
                picture.add_metric(name, verdict.picture_turned_deg)
            if verdict.late_ms is not None:
                late.add_metric(name, verdict.late_ms * 1e-3)
        yield from (masked, blamed, turned, picture, late)
        yield CounterMetricFamily("usthand_drift_busy_seconds", "Processor time spent on watching.", self._drift.busy_s)

    def _engine_metrics(self) -> Iterable[Metric]:
        card, rig = self._pipeline.engine.card, self._pipeline.rig
        yield CounterMetricFamily("usthand_frame_sets_solved", "Frame sets answered.", self._pipeline.solved_count)
        drops = CounterMetricFamily(
            "usthand_frame_set_drops", "Frame sets that nobody got, by cause.", labels=["cause"]
        )
        for cause, count in self._pipeline.session.drops.items():
            drops.add_metric([cause], count)
        yield drops
        errors = CounterMetricFamily("usthand_engine_errors", "Frame sets lost to an exception.", labels=["kind"])
        for kind, count in self._pipeline.errors.items():
            errors.add_metric([kind], count)
        yield errors
        running = self._pipeline.state == RUNNING
        yield GaugeMetricFamily("usthand_engine_running", "1 while frame sets are answered.", int(running))
        yield GaugeMetricFamily("usthand_rate_hz", "Frame sets a second, lately.", self._pipeline.stats().rate_hz)
        latest = self._pipeline.latest
        yield GaugeMetricFamily("usthand_hands", "Hands in the newest answer.", len(latest.hands) if latest else 0)
        info = GaugeMetricFamily(
            "usthand_running_info", "What runs.", labels=["model_id", "backend", "hand_model", "calibration_id"]
        )
        info.add_metric([card.model_id, card.backend, card.hand_model, rig.id], 1)
        yield info

    def _client_metrics(self) -> Iterable[Metric]:
        clients = self._broadcaster
        yield GaugeMetricFamily("usthand_clients", "Clients of the stream.", clients.client_count)
        yield CounterMetricFamily("usthand_messages_sent", "Messages sent to clients.", clients.messages_sent)
        yield CounterMetricFamily(
            "usthand_messages_dropped", "Messages replaced by newer ones, client by client.", clients.messages_dropped
        )
        yield CounterMetricFamily(
            "usthand_client_timeouts", "Clients dropped because they took nothing.", clients.client_timeouts
        )


class LatencyHistogram:
    """Time from exposure to the answer, observed with each answer.

    Args:
        registry: Where it is scraped.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "usthand_latency_seconds", "From exposure to the answer.", registry=registry, buckets=_BUCKETS_S
        )

    def observe(self, solved: Solved) -> None:
        """Note one answer."""
        self._histogram.observe((solved.solved_ns - solved.frame_set.timestamp_ns) / 1e9)
