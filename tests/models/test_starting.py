"""Networks that begin with the encoder of a generator, beside the same network begun at random."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from numerai_lab.core.arrays import Array, Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.generators import Generator
from numerai_lab.models import MLP
from numerai_lab.neural import training
from numerai_lab.neural.networks import generator_for
from numerai_lab.neural.started import StartedNetwork
from numerai_lab.neural.starting_encoder import StartingEncoder
from numerai_lab.neural.stream_batches import StreamBatches
from tests.conftest import component, make_panel

ENCODERS: Mapping[str, dict[str, Any]] = {
    "autoencoder": {"kind": "autoencoder"},
    "deep": {"kind": "autoencoder", "emit": "deep_stack"},
    "masked": {"kind": "autoencoder", "objective": "masked", "n_layers": 1},
    "scarf": {"kind": "contrastive"},
    "barlow": {"kind": "contrastive", "method": "barlow"},
    "umap": {"kind": "umap", "fit_on": "all"},
    "umap_manhattan": {"kind": "umap", "metric": "manhattan"},
    "umap_correlation": {"kind": "umap", "metric": "correlation", "n_layers": 1},
    "era_autoencoder": {"kind": "era_autoencoder"},
}
encoders = pytest.mark.parametrize("name", ENCODERS)
READ = np.array([0, 2, 3, 5, 6, 8, 11], np.int32)
"""Features that a generator with `select` reads."""


@cache
def panel(binned: bool = True) -> Panel:
    return make_panel(n_rows=60, binned=binned)


@cache
def fitted(name: str, binned: bool = True, selected: bool = False) -> Generator:
    """A generator of ENCODERS, fitted on half of the eras."""
    shown = panel(binned).without_target().only(range(1, 16))
    if selected:
        features = np.ascontiguousarray(panel(binned).features[:, READ])
        names = tuple(panel(binned).raw_names[i] for i in READ)
        shown = replace(shown, features=features, feature_names=names, n_raw=len(READ), feature_sets={})
    generator: Generator = component(**ENCODERS[name]).fit(shown, np.random.default_rng(5))
    if selected:
        generator.selected_ = READ
    return generator


def stream(binned: bool = True, n_train: int = 15) -> TrainingStream:
    return TrainingStream(panel(binned).only(range(1, n_train + 1)), ("raw",), panel(binned).raw_names, 0)


def begun(
    encoder: StartingEncoder, context: FitContext = NO_CONTEXT, blocks: TrainingStream | None = None, **parameters: Any
) -> MLP:
    """A trained network that begins with an encoder."""
    model = MLP.model_validate({"start_from": "g", "learning_rate": 0.01, **parameters})
    return model.begun_with(encoder).fit(blocks or stream(), np.random.default_rng(0), context)


def started(model: MLP) -> StartedNetwork:
    """The network of a trained model, as it is loaded from its file alone."""
    network = model.fresh().loaded(model.saved()[1])._restored_network(torch.device("cpu"))
    assert isinstance(network, StartedNetwork)
    return network


def representation(model: MLP, cells: Array) -> Float32:
    network = started(model)
    with torch.no_grad():
        columns: Float32 = network.encoders[0](network.standard(torch.from_numpy(cells))).numpy()
    return columns


@encoders
@pytest.mark.parametrize(("binned", "selected"), [(True, False), (False, True)])
def test_a_frozen_encoder_gives_the_columns_of_its_generator(name: str, binned: bool, selected: bool) -> None:
    if not binned and name == "umap_manhattan":
        pytest.skip("refuses continuous features")
    generator, block = fitted(name, binned, selected), panel(binned).block(20)
    model = begun(generator.starting_encoder(), blocks=stream(binned), finetune="head", epochs=3)
    columns = generator.columns_for(block)
    scale = float(np.abs(columns).max())
    np.testing.assert_allclose(representation(model, block.features), columns, rtol=0, atol=2e-5 * scale)


@encoders
def test_begun_at_random_it_differs_in_the_first_weights_of_the_encoder_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[int, float]] = []
    give = StreamBatches.next

    def noted(batches: StreamBatches) -> Any:
        batch = give(batches)
        assert batch.target is not None
        drawn.append((int(batch.era[0]), float(batch.target[0])))
        return batch

    monkeypatch.setattr(StreamBatches, "next", noted)
    still: dict[str, Any] = {"learning_rate": 1e-20, "hidden": [8], "members": 2}
    learned, random = (
        begun(fitted(name).starting_encoder(), start_weights=weights, **still).state() for weights in ("learned", "random")
    )
    assert drawn[: len(drawn) // 2] == drawn[len(drawn) // 2 :]
    assert {key: value.shape for key, value in learned.items()} == {key: value.shape for key, value in random.items()}
    other = {key for key, value in learned.items() if not np.array_equal(value, random[key])}
    of_outputs = {"network_centre_", "network_unit_", "network_level_", "network_spread_", "importance_", "curve_"}
    generator = fitted(name).starting_encoder()
    layers = {key for key in other if key.startswith("network_encoders.")}
    assert other - of_outputs == layers
    assert len([key for key in layers if key.endswith("weight_")]) == 2 * len(generator.layers)
    assert not [key for key in layers if "frozen" in key]


@pytest.mark.parametrize(("finetune", "changed"), [("all", {0, 1, 2}), ("head", set()), ("gradual", {0, 1, 2})])
def test_finetune_says_which_layers_of_the_encoder_learn(finetune: str, changed: set[int]) -> None:
    encoder = fitted("autoencoder").starting_encoder()
    before, after = (begun(encoder, finetune=finetune, learning_rate=rate, ema=0.0).state() for rate in (1e-20, 0.01))
    names = [f"network_encoders.0.net.{2 * i}.weight_" for i in range(3)]
    assert {i for i, name in enumerate(names) if not np.array_equal(before[name], after[name])} == changed
    assert not np.array_equal(before["network_heads.0.weight_"], after["network_heads.0.weight_"])


@pytest.mark.parametrize(("epochs", "layers"), [(6, [0, 1, 2, 3, 3, 3]), (4, [0, 1, 2, 3]), (3, [0, 2, 3]), (2, [0, 3])])
def test_gradual_frees_the_last_layers_first_and_all_of_them_by_the_last_epoch(epochs: int, layers: list[int]) -> None:
    shape = fitted("autoencoder").starting_encoder().shape
    network = StartedNetwork((np.zeros(12), np.ones(12)), shape, [], 1, generator_for(0))
    network.finetuned("gradual", epochs, 10)
    free = []
    for step in range(10 * epochs):
        network.begin_step(step)
        stages = [all(p.requires_grad for layer in stage for p in layer.parameters()) for stage in network.encoders[0].stages]  # type: ignore[union-attr, operator]
        assert stages == sorted(stages)
        free.append(sum(stages))
    assert free == [n for n in layers for _ in range(10)]


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.mark.parametrize("dies_at", [1, 16, 29, 31, 44])
def test_a_gradual_training_killed_at_any_step_ends_with_the_same_bytes(dies_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100_000, 9))
    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))  # type: ignore[attr-defined]
    encoder = fitted("scarf").starting_encoder()
    whole = begun(encoder, finetune="gradual", epochs=4).saved()
    checkpoints: list[bytes] = []

    def dies(done: int, total: int, note: str = "") -> None:
        if done == dies_at:
            raise Killed

    with pytest.raises(Killed):
        begun(
            encoder,
            FitContext(dies, save_checkpoint=lambda arrays: checkpoints.append(arrays_to_bytes(arrays))),
            None,
            finetune="gradual",
            epochs=4,
        )
    seen: list[int] = []
    context = FitContext(
        lambda done, total, note="": seen.append(done),
        load_checkpoint=lambda: arrays_from_bytes(checkpoints[-1]) if checkpoints else None,
    )
    assert begun(encoder, context, finetune="gradual", epochs=4).saved() == whole
    assert seen[0] > 1 or dies_at < 8


@encoders
def test_loaded_from_its_file_alone_it_predicts_the_same(name: str) -> None:
    model = begun(fitted(name).starting_encoder(), epochs=2, hidden=[8], members=2)
    X = panel().block(25).matrix(["raw"])
    again = MLP(start_from="g", hidden=[8], members=2).loaded(model.saved()[1])
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert model.predict(X).std() > 0


def clustered(paid: bool) -> Panel:
    """24 eras × 150 rows of 12 clusters that 48 noisy features show; the target is the cluster's value plus noise, or noise."""
    rng, n_eras, n_rows = np.random.default_rng(0), 24, 150
    cluster = rng.integers(0, 12, n_eras * n_rows)
    values = rng.normal(size=(12, 48))[cluster] + 1.5 * rng.normal(size=(len(cluster), 48))
    signal = paid * rng.permutation(np.linspace(-1, 1, 12))[cluster] + rng.normal(size=len(cluster))
    eras = values.reshape(n_eras, n_rows, 48)
    features = (eras.argsort(1).argsort(1) * 5 // n_rows).astype(np.int8).reshape(len(cluster), 48)
    ranks = signal.reshape(n_eras, n_rows).argsort(1).argsort(1) / n_rows
    target = np.searchsorted([0.05, 0.25, 0.75, 0.95], ranks.ravel(), side="right").astype(np.float32) / 4
    return replace(make_panel(n_eras, n_rows, 48), features=features, target=target)


@pytest.mark.parametrize(("paid", "least", "most"), [(True, 0.06, 1.0), (False, -0.05, 0.05)])
def test_learned_weights_help_where_clusters_are_paid_and_few_eras_have_labels_and_not_where_none_is(
    paid: bool, least: float, most: float
) -> None:
    """The encoder sees all 24 eras without labels; 4 of them have labels for the network, the other 20 are predicted."""
    world = clustered(paid)
    few = {"n_components": 8, "hidden": 64, "n_layers": 1, "max_steps": 250, "batch_size": 256, "learning_rate": 3e-3}
    generator = component("autoencoder", **few).fit(world.without_target(), np.random.default_rng(0))
    blocks = TrainingStream(world.only(range(1, 5)), ("raw",), world.raw_names, 0)

    def corr(finetune: str, weights: str) -> float:
        settings: dict[str, Any] = {"finetune": finetune, "start_weights": weights, "hidden": [16], "epochs": 30}
        model = begun(generator.starting_encoder(), blocks=blocks, **settings, learning_rate=3e-3)
        later = [world.block(era) for era in range(5, 25)]
        return float(np.mean([np.corrcoef(model.predict(block.matrix(["raw"])), block.target)[0, 1] for block in later]))  # type: ignore[arg-type]

    for finetune in ("all", "head", "gradual"):
        gain = corr(finetune, "learned") - corr(finetune, "random")
        assert least < gain < most, finetune


def test_it_can_only_be_trained_with_the_encoder() -> None:
    with pytest.raises(NlabError, match="the model begins with the encoder of 'g'; give it with `begun_with`"):
        MLP(start_from="g").fit(stream(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hidden": []}, "hidden: got .*, wanted one width or more; only a network with start_from may have none"),
        ({"finetune": "head"}, "finetune without start_from; name the generator"),
        ({"start_weights": "random"}, "start_weights without start_from"),
        ({"start_from": "g", "finetune": "gradual", "epochs": 1}, "take 2 epochs or more"),
    ],
)
def test_parameters_that_contradict_each_other_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MLP.model_validate(parameters)


def test_hidden_is_empty_by_default_after_an_encoder() -> None:
    assert MLP(start_from="g").hidden == []
    assert MLP(start_from="g", hidden=[4]).fresh().hidden == [4]
    assert MLP().hidden == [1024, 512, 256]
