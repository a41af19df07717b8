"""The era autoencoder: what is frozen stays so, latents are emitted as of the latest era, the code says what it should."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from pydantic import ValidationError

from numerai_lab.config.loading import load_config
from numerai_lab.core.panel import Panel
from numerai_lab.core.progress import FitContext
from numerai_lab.generators.era_autoencoder import EraAutoencoder
from tests.conftest import QUICK, make_panel
from tests.generators import planted


def quick(**changes: object) -> EraAutoencoder:
    return EraAutoencoder.model_validate({**QUICK["era_autoencoder"], **changes})


def fitted(panel: Panel, **changes: object) -> EraAutoencoder:
    return quick(**changes).fit(panel.without_target(), np.random.default_rng(0))


@cache
def drifting() -> Panel:
    """40 eras × 300 rows × 20 features that all rise with the era, each so faintly that a row's own features say little."""
    panel = make_panel(n_eras=40, n_rows=300, n_features=20)
    rng = np.random.default_rng(0)
    age = np.repeat(np.linspace(-1, 1, 40), 300)[:, None]
    values = 0.5 * age + rng.normal(size=(12_000, 20))
    ranks = np.argsort(np.argsort(values, axis=0), axis=0)
    return replace(panel, features=(ranks * 5 // 12_000).astype(np.int8))


@cache
def trained() -> EraAutoencoder:
    model = quick(n_components=12, hidden=64, max_steps=400, batch_size=256, learning_rate=0.01, evaluate_every=100)
    return model.fit(drifting().only(range(1, 31)), np.random.default_rng(0))


def again(**changes: object) -> EraAutoencoder:
    """The trained network with other parameters of emission."""
    return EraAutoencoder.model_validate({**trained().model_dump(), **changes}).restored(trained().state())


def test_the_frozen_network_is_as_it_was_drawn_and_the_rest_is_not() -> None:
    panel = make_panel()
    short, long = fitted(panel, max_steps=1).state(), fitted(panel, max_steps=20).state()
    for i in (0, 1):
        np.testing.assert_array_equal(short[f"frozen_weights_{i}_"], long[f"frozen_weights_{i}_"])
        np.testing.assert_array_equal(short[f"frozen_biases_{i}_"], long[f"frozen_biases_{i}_"])
        assert not np.array_equal(short[f"layers_weights_{i}_"], long[f"layers_weights_{i}_"])
    wide = fitted(panel, frozen_hidden=300, frozen_width=300, max_steps=1).state()
    assert wide["frozen_weights_1_"].std() == pytest.approx(0.05, rel=0.02)
    assert wide["frozen_biases_1_"].std() == pytest.approx(0.05, rel=0.2)


def test_features_are_given_back_better_than_by_their_means() -> None:
    curve = trained().curve_
    variance = drifting().features.astype(float).var()
    assert curve[0, 2] > variance
    assert np.nanmin(curve[:, 2]) < 0.97 * variance  # noise takes most of these features; era and 12 latents the rest


def test_latents_lie_between_0_and_1() -> None:
    values = trained().transform(drifting().block(35))
    assert values.shape == (300, 12)
    assert values.min() > 0
    assert values.max() < 1


def test_later_rows_get_the_largest_code_whatever_their_era_and_so_do_all_rows_by_default() -> None:
    block = drifting().block(10)
    at_max, own = again(), again(emit_era="own")
    assert [own.code(era) for era in (1, 30, 31, 999)] == [0, 11, 11, 11]
    for era in (1, 10, 30, 31, 999):
        np.testing.assert_array_equal(at_max.transform(replace(block, era=era)), at_max.transform(block))
    for era in (31, 999):
        np.testing.assert_array_equal(own.transform(replace(block, era=era)), at_max.transform(block))
    assert not np.array_equal(own.transform(block), at_max.transform(block))


def test_the_era_is_less_predictable_from_latents_emitted_with_the_largest_code() -> None:
    def r2_of_era(model: EraAutoencoder) -> float:
        panel = drifting().only(range(1, 31))
        columns = np.concatenate([model.transform(block) for block in panel.blocks()])
        age = np.repeat(panel.eras, 300).astype(float)[:, None]
        half = np.random.default_rng(0).permutation(len(age))
        return planted.held_out_r2(columns[half], age[half], len(age) // 2)

    own, largest = r2_of_era(again(emit_era="own")), r2_of_era(again())
    assert own > largest + 0.1


def test_codes_run_over_the_levels_rounded_or_not() -> None:
    model = quick(emit=["era"]).fit(make_panel(n_eras=23), np.random.default_rng(0))
    assert [model.code(era) for era in range(1, 24)] == [np.rint(i * 11 / 22) for i in range(23)]
    exact = quick(emit=["era"], round=False, era_levels=13).fit(make_panel(n_eras=23), np.random.default_rng(0))
    assert [exact.code(era) for era in (1, 2, 23, 50)] == [0, pytest.approx(12 / 22), 12, 12]


def test_the_era_column_alone_trains_no_network() -> None:
    ticks: list[int] = []
    panel = make_panel()
    model = quick(emit=["era"]).fit(
        panel.only(range(1, 13)), np.random.default_rng(0), FitContext(lambda done, total, note="": ticks.append(done))
    )
    assert ticks == []
    assert [float(model.transform(panel.block(era))[0, 0]) for era in (1, 6, 12, 13, 30)] == [0, 5, 11, 11, 11]


def test_parts_stand_side_by_side_and_agree() -> None:
    block = drifting().block(10)
    values = again(emit=["raw", "argmax", "onehot", "era"]).transform(block)
    latents, largest, onehot, era = values[:, :12], values[:, 12], values[:, 13:25], values[:, 25]
    np.testing.assert_array_equal(latents, again().transform(block))
    np.testing.assert_array_equal(largest, latents.argmax(1))
    np.testing.assert_array_equal(onehot.argmax(1), largest)
    assert (onehot.sum(1) == 1).all()
    assert set(era.tolist()) == {trained().code(10)}
    names = again(emit=["raw", "argmax", "onehot", "era"]).names_out()
    assert len(set(names)) == 26
    assert (names[0], names[12], names[13], names[25]) == ("latent1", "argmax", "is1", "era")


def test_drawn_networks_are_the_same_for_every_row_and_nearer_the_more_are_averaged() -> None:
    block = drifting().block(35)
    one = again(mc_draws=5).transform(block)
    chunks = [again(mc_draws=5).transform(replace(block, features=rows)) for rows in np.array_split(block.features, 7)]
    np.testing.assert_array_equal(one, np.concatenate(chunks))
    assert not np.array_equal(one, again().transform(block))

    def apart(draws: int) -> float:
        model = again(mc_draws=draws)
        other = model.restored({**trained().state(), "seed_": np.array(99)})
        return float(np.abs(model.transform(block) - other.transform(block)).mean())

    assert apart(100) < apart(1) / 5  # means of independent draws come nearer as 1 / √draws: a tenth


def test_the_preset_fills_in_the_sizes_that_are_not_given() -> None:
    original = EraAutoencoder(preset="original")
    assert (original.hidden, original.frozen_hidden, original.frozen_width) == (1000, 100, 1000)
    assert EraAutoencoder(preset="original", hidden=7).hidden == 7
    assert EraAutoencoder().hidden == 256
    assert original.fresh() == original
    with pytest.raises(ValidationError, match="names something twice"):
        EraAutoencoder(emit=["raw", "raw"])


def test_the_config_holds_the_five_variants_of_the_post() -> None:
    from pathlib import Path

    config, _ = load_config(Path("configs/era_autoencoder.yaml"))
    assert [variant.inputs for variant in config.variants.values()] == [
        ("raw",),
        ("raw", "era"),
        ("raw", "latents"),
        ("raw", "argmax"),
        ("raw", "argmax", "era"),
    ]
