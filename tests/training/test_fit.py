"""Training learns, from 2D labels alone, and again the same from the same seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from engine.hand_model import HandModel
from engine.network.network import SequenceOutputs, UstHandNetwork
from engine.network.weights import load_weights, save_weights
from tests.training.conftest import SMALL
from tests.training.test_levels import Source
from training import run as running
from training.datasets import Joined
from training.evaluate import evaluate
from training.feeds import WindowFeed
from training.fit import EpochReport, FitConfig, StepReport, fit
from training.losses import LossWeights
from training.run import RunConfig, train
from training.samples import Batch, Window
from training.truth import Truth, TruthReadError
from training.usthand import UstHandMethod

Samples = list[tuple[Window, Truth]]
MakeNetwork = Callable[[], UstHandNetwork]

CONFIG = FitConfig(epochs=3, batch_size=2, learning_rate=1e-3)


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _equal(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _windows(samples: Samples) -> list[Window]:
    return [window for window, _ in samples]


def _fit(
    network: UstHandNetwork,
    windows: Sequence[Window],
    config: FitConfig,
    on_epoch: Callable[[EpochReport], None] | None = None,
    resume_path: Path | None = None,
) -> None:
    fit(UstHandMethod(network), WindowFeed(windows), config, on_epoch, resume_path)


def test_the_loss_falls(small_network: MakeNetwork, small_samples: Samples) -> None:
    reports: list[EpochReport] = []
    network = small_network()
    _fit(network, _windows(small_samples), replace(CONFIG, epochs=12), reports.append)
    assert [report.epoch for report in reports] == list(range(12))
    assert [report.steps for report in reports] == list(range(2, 26, 2))
    assert reports[-1].total < 0.7 * reports[0].total
    for name in ("heatmap_joints", "nll", "projection_queries", "projection_mano"):
        assert reports[-1].terms[name] < reports[0].terms[name]
    weights = LossWeights()
    first = reports[0].terms
    assert reports[0].total == pytest.approx(
        weights.heatmap * first["heatmap"]
        + weights.heatmap_joints * first["heatmap_joints"]
        + weights.nll * first["nll"]
        + weights.projection * (first["projection_queries"] + first["projection_mano"]),
        rel=1e-5,
    )
    assert not network.training


def test_the_rate_falls_after_two_thirds(small_network: MakeNetwork, small_samples: Samples) -> None:
    reports: list[EpochReport] = []
    _fit(small_network(), _windows(small_samples), CONFIG, reports.append)
    assert [report.learning_rate for report in reports] == pytest.approx([1e-3, 1e-3, 1e-4])


@dataclass(frozen=True, eq=False)
class _Counting(UstHandMethod):
    """A method that notes how many views a step's windows have, and how many of them saw the hand."""

    noted: list[tuple[int, list[int]]] = field(default_factory=list)

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        seen = batch.view_mask.any(dim=1).sum(dim=-1)
        self.noted.append((batch.view_mask.shape[2], [int(count) for count in seen]))
        return super().losses(batch, generator)


def test_every_step_sees_each_window_by_views_that_saw_it(small_network: MakeNetwork, small_samples: Samples) -> None:
    # A rig of two cameras beside one of three: its windows are filled up with views that saw nothing.
    pair = Source([(window.with_views([0, 2]), truth) for window, truth in small_samples], "2")
    method = _Counting(small_network())
    config = replace(CONFIG, epochs=2, fewest_views=2)
    fit(method, WindowFeed(Joined([Source(small_samples), pair])), config)
    assert {views for views, _ in method.noted} == {2, 3}
    for views, seen in method.noted:
        assert all(count in ({2} if views == 2 else {2, 3}) for count in seen)


def test_equal_seeds_give_equal_weights(small_network: MakeNetwork, small_samples: Samples) -> None:
    trained = []
    for seed in (0, 0, 1):
        network = small_network()
        # What was drawn before does not matter.
        torch.rand(seed + 5)
        _fit(network, _windows(small_samples), replace(CONFIG, epochs=1, seed=seed))
        trained.append(_weights(network))
    assert _equal(trained[0], trained[1])
    assert not _equal(trained[0], trained[2])


class _InterruptedError(Exception):
    pass


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    small_network: MakeNetwork, small_samples: Samples, tmp_path: Path
) -> None:
    windows = _windows(small_samples)
    straight = small_network()
    _fit(straight, windows, CONFIG)

    def stop(report: EpochReport) -> None:
        if report.epoch == 1:
            raise _InterruptedError

    state = tmp_path / "run.state"
    with pytest.raises(_InterruptedError):
        _fit(small_network(), windows, CONFIG, stop, state)
    resumed = small_network()
    epochs: list[int] = []
    _fit(resumed, windows, CONFIG, lambda report: epochs.append(report.epoch), state)
    assert epochs == [2]
    assert _equal(_weights(straight), _weights(resumed))
    with pytest.raises(ValueError, match="start anew"):
        _fit(small_network(), windows, replace(CONFIG, seed=9), None, state)
    torch.save({"schema": "something else"}, state)
    with pytest.raises(ValueError, match="no state of a training run"):
        _fit(small_network(), windows, CONFIG, None, state)


def test_a_run_that_was_stopped_inside_an_epoch_goes_on_too(
    small_network: MakeNetwork, small_samples: Samples, tmp_path: Path
) -> None:
    feed, config = WindowFeed(_windows(small_samples)), replace(CONFIG, epochs=2)
    straight = small_network()
    fit(UstHandMethod(straight), feed, config)

    def stop(report: StepReport) -> None:
        if report.step == 1:
            raise _InterruptedError

    state = tmp_path / "run.state"
    with pytest.raises(_InterruptedError):
        fit(UstHandMethod(small_network()), feed, config, None, state, on_step=stop, save_every=1)
    resumed, steps = small_network(), list[int]()
    fit(UstHandMethod(resumed), feed, config, None, state, on_step=lambda report: steps.append(report.step))
    # The step that was made when it was stopped was not kept yet, and is made again.
    assert steps == [1, 2, 3]
    assert _equal(_weights(straight), _weights(resumed))


def test_a_run_that_was_stopped_before_its_last_weights_were_written_is_finished(
    hand_model: HandModel, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = RunConfig(network=SMALL, fit=replace(CONFIG, epochs=2))
    source = Source(small_samples)

    def run(folder: Path) -> Path:
        return train(folder, config, source, source, hand_model, device=torch.device("cpu"))

    straight = load_weights(run(tmp_path / "straight"))
    measured = list[int]()

    def stop(*_: object) -> dict[str, float]:
        measured.append(len(measured))
        if len(measured) == 2:
            raise _InterruptedError
        return {}

    # The last epoch's state is kept, then its weights are measured and kept: between the two it is stopped.
    monkeypatch.setattr(running, "_measure", stop)
    with pytest.raises(_InterruptedError):
        run(tmp_path / "stopped")
    monkeypatch.undo()
    assert load_weights(tmp_path / "stopped" / "weights.pt").training["steps"] == 2
    resumed = load_weights(run(tmp_path / "stopped"))
    assert resumed.training["steps"] == straight.training["steps"] == 4
    assert _equal(resumed.state_dict, straight.state_dict)
    assert resumed.metrics == straight.metrics
    # Before its first weights too.
    (tmp_path / "stopped" / "weights.pt").unlink()
    assert _equal(load_weights(run(tmp_path / "stopped")).state_dict, straight.state_dict)


def test_a_state_that_cannot_be_used_is_said(
    small_network: MakeNetwork, small_samples: Samples, hand_model: HandModel, tmp_path: Path
) -> None:
    windows, state = _windows(small_samples), tmp_path / "run.state"
    _fit(small_network(), windows, replace(CONFIG, epochs=1), None, state)
    with torch.random.fork_rng():
        other = UstHandNetwork(replace(SMALL, blocks=1), hand_model, pretrained=False)
    with pytest.raises(ValueError, match=r"run\.state is of another network \(.*delete it to start anew"):
        _fit(other, windows, replace(CONFIG, epochs=1), None, state)
    state.write_bytes(state.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"run\.state cannot be read \(.*delete it to start anew"):
        _fit(small_network(), windows, replace(CONFIG, epochs=1), None, state)


class _Spoiling(UstHandMethod):
    """A method whose loss is finite and whose gradient is not."""

    def losses(self, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        total, terms = super().losses(batch, generator)
        weight = next(self.module.parameters())
        return total + (weight - weight.detach()).abs().sqrt().sum(), terms


def test_weights_that_a_gradient_spoilt_are_not_kept(
    small_network: MakeNetwork, small_samples: Samples, tmp_path: Path
) -> None:
    state = tmp_path / "run.state"
    with pytest.raises(FloatingPointError, match=r"gradient's norm (nan|inf) at step 0.*learning rate"):
        fit(
            _Spoiling(small_network()),
            WindowFeed(_windows(small_samples)),
            replace(CONFIG, epochs=1),
            resume_path=state,
            save_every=1,
        )
    assert not state.exists()


def test_a_disk_or_a_gpu_that_is_full_is_said(
    small_network: MakeNetwork, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows, config, state = _windows(small_samples), replace(CONFIG, epochs=2), tmp_path / "run.state"

    def stop(_: EpochReport) -> None:
        raise _InterruptedError

    with pytest.raises(_InterruptedError):
        _fit(small_network(), windows, config, stop, state)
    kept = state.read_bytes()

    def full(_: object, path: Path) -> None:
        path.write_bytes(b"half")
        # What torch says of a disk that is full.
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 704 vs 598")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"run\.state: cannot be written .* MB are free there\); make room"):
        _fit(small_network(), windows, config, None, state)
    assert state.read_bytes() == kept
    assert list(tmp_path.iterdir()) == [state]

    def no_memory(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(UstHandMethod, "losses", no_memory)
    with pytest.raises(ValueError, match=r"no memory for a step of 2 windows \(CUDA out of memory.*fewer a step"):
        _fit(small_network(), windows, config)


def test_a_frozen_encoder_stays_as_it_is(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    before = _weights(network)
    _fit(network, _windows(small_samples), replace(CONFIG, epochs=1, train_backbone=False))
    after = _weights(network)
    # Its normalisation's running statistics too.
    encoder = [name for name in before if name.startswith("backbone.")]
    assert any("running_mean" in name for name in encoder)
    assert all(torch.equal(before[name], after[name]) for name in encoder)
    assert not torch.equal(before["heatmap_head.to_heatmaps.weight"], after["heatmap_head.to_heatmaps.weight"])
    # And can be taken up again.
    _fit(network, _windows(small_samples), replace(CONFIG, epochs=1))
    again = _weights(network)
    learnable = [f"backbone.{name}" for name, _ in network.backbone.named_parameters()]
    assert any(not torch.equal(after[name], again[name]) for name in learnable)


def test_the_encoder_has_a_rate_of_its_own(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    # Adam's first step is as long as the rate.
    one_step = replace(CONFIG, epochs=1, batch_size=3, learning_rate=1e-3, backbone_rate=0.1, decay_after=1.0)
    _fit(network, _windows(small_samples), one_step)
    moved: dict[bool, float] = {True: 0.0, False: 0.0}
    for name, parameter in network.named_parameters():
        step = float((parameter.detach() - before[name]).abs().max())
        encoder = name.startswith("backbone.")
        moved[encoder] = max(moved[encoder], step)
    assert moved[False] == pytest.approx(1e-3, rel=0.02)
    assert moved[True] == pytest.approx(1e-4, rel=0.02)


def test_what_was_learnt_is_kept(
    small_network: MakeNetwork, small_samples: Samples, hand_model: HandModel, tmp_path: Path
) -> None:
    network, config = small_network(), replace(CONFIG, epochs=1)
    _fit(network, _windows(small_samples), config)
    learnt = evaluate(UstHandMethod(network), small_samples)
    path = tmp_path / "small.weights"
    save_weights(path, network, hand_model, training=asdict(config), metrics=asdict(learnt))
    kept = load_weights(path)
    assert kept.training["learning_rate"] == config.learning_rate
    assert evaluate(UstHandMethod(kept.build(hand_model)), small_samples) == learnt


class _PeekingList(list[Window]):
    """Windows that look at the truth when they are fetched."""

    truth: Truth

    def __getitem__(self, index: Any) -> Any:
        self.truth.joints_local.sum()
        return super().__getitem__(index)


class _Peeking(UstHandNetwork):
    """A network that looks at the truth when it is trained."""

    truth: Truth

    def forward_sequence(self, *inputs: Tensor) -> SequenceOutputs:
        self.truth.joints_local.sum()
        return super().forward_sequence(*inputs)


def test_a_training_step_cannot_read_the_truth(small_network: MakeNetwork, small_samples: Samples) -> None:
    network = small_network()
    network.__class__ = _Peeking
    peeking: Any = network
    peeking.truth = small_samples[0][1]
    with pytest.raises(TruthReadError):
        _fit(network, _windows(small_samples), replace(CONFIG, epochs=1))
    windows = _PeekingList(_windows(small_samples))
    windows.truth = small_samples[0][1]
    with pytest.raises(TruthReadError):
        _fit(small_network(), windows, replace(CONFIG, epochs=1))
    # Between the steps it may be read: that is where evaluation is.
    read: list[float] = []
    _fit(
        small_network(),
        _windows(small_samples),
        replace(CONFIG, epochs=1),
        lambda _: read.append(float(small_samples[0][1].joints_local[0, 0, 0])),
    )
    assert len(read) == 1


def test_windows_beside_those_that_set_the_scale_do_not_say_what_it_is_worth(
    hand_model: HandModel, small_samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two scenes, or two people of a data set, one after the other.
    validation = Source([small_samples[0], small_samples[0], small_samples[1], small_samples[1]])
    scaled: list[Window] = []
    measured: list[Window] = []

    def calibrate(_: object, samples: Samples) -> None:
        scaled.extend(_windows(samples))

    def measure(_: object, samples: Samples) -> dict[str, float]:
        measured[:] = _windows(samples)
        return {}

    monkeypatch.setattr(running, "calibrate", calibrate)
    monkeypatch.setattr(running, "_measure", measure)
    config = RunConfig(network=SMALL, fit=replace(CONFIG, epochs=1, batch_size=3))
    train(tmp_path / "run", config, Source(small_samples), validation, hand_model, device=torch.device("cpu"))
    assert [window is small_samples[0][0] for window in scaled] == [True, True]
    assert [window is small_samples[1][0] for window in measured] == [True, True]


class _Forbidden(Source):
    """Windows whose truth nobody may ask for."""

    def truth(self, index: int) -> Truth:
        raise AssertionError(f"training asked for the truth of window {index}")


def test_a_run_asks_no_source_for_its_truth(hand_model: HandModel, small_samples: Samples, tmp_path: Path) -> None:
    config = RunConfig(network=SMALL, fit=replace(CONFIG, epochs=1))
    source = _Forbidden(small_samples)
    weights = train(tmp_path / "run", config, source, None, hand_model, device=torch.device("cpu"))
    assert weights.is_file()
    assert set(source.fetched) == set(range(len(small_samples)))
    # And what a step is handed has no room for it: nothing but cameras has three coordinates.
    batch = WindowFeed(source).batch([0, 1])
    assert {part.name for part in fields(batch)} == {
        "crops",
        "projections",
        "view_mask",
        "labels",
        "label_confidence",
        "levels",
    }
    assert batch.labels.shape[-2:] == (21, 2)


def test_truth_makes_no_difference_to_training(hand_model: HandModel, small_samples: Samples, tmp_path: Path) -> None:
    trained = []
    for scale in (1.0, float("nan")):
        # The source as a whole, so that whoever asks it for its truth finds that spoilt.
        source = Source([(window, Truth(truth.joints_local * scale)) for window, truth in small_samples])
        config = RunConfig(network=SMALL, fit=replace(CONFIG, epochs=1))
        weights = train(tmp_path / f"{scale}", config, source, None, hand_model, device=torch.device("cpu"))
        trained.append(load_weights(weights).state_dict)
    assert _equal(*trained)


def test_what_cannot_be_trained_is_refused(small_network: MakeNetwork, small_samples: Samples) -> None:
    with pytest.raises(ValueError, match="no windows"):
        _fit(small_network(), [], CONFIG)
    with pytest.raises(ValueError, match="1 or more"):
        FitConfig(epochs=0)
    with pytest.raises(ValueError, match="above 0"):
        FitConfig(learning_rate=0.0)
    network = small_network()
    with torch.no_grad():
        network.heatmap_head.to_heatmaps.bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="learning rate"):
        _fit(network, _windows(small_samples), CONFIG)
