"""Losses within an era: their values beside numpy's and Numerai's, their gradients, their weights."""

import numpy as np
import pytest
import torch
from numerai_tools.scoring import numerai_corr as official

from numerai_lab.neural.era_losses import LOSSES, Loss, era_corr, exposure, likeness, mse, numerai_corr, pearson

losses = pytest.mark.parametrize("name", LOSSES)


def drawn(n: int = 40, members: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Predictions, target, weights, float64."""
    rng = np.random.default_rng(seed)
    target = rng.choice([0, 0.25, 0.5, 0.75, 1], n, p=[0.05, 0.2, 0.5, 0.2, 0.05])
    predicted = rng.normal(size=(n, members)) + target[:, None]
    return torch.from_numpy(predicted), torch.from_numpy(target), torch.from_numpy(rng.uniform(0.1, 2, n))


@losses
@pytest.mark.parametrize("weighted", [False, True])
def test_its_gradient_is_that_of_finite_differences(name: Loss, weighted: bool) -> None:
    predicted, target, weight = drawn()
    assert torch.autograd.gradcheck(lambda p: LOSSES[name](p, target, weight if weighted else None), predicted.requires_grad_())


@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_of_exposure_is_that_of_finite_differences(weighted: bool) -> None:
    predicted, _, weight = drawn()
    features = drawn(members=7, seed=1)[0]
    assert torch.autograd.gradcheck(lambda p: exposure(p, features, weight if weighted else None), predicted.requires_grad_())


def test_pearson_is_numpys_for_every_member() -> None:
    predicted, target, _ = drawn()
    wanted = [np.corrcoef(column, target)[0, 1] for column in predicted.T]
    np.testing.assert_allclose(pearson(predicted, target), wanted, atol=1e-12)
    np.testing.assert_allclose(era_corr(predicted, target), 1 - np.array(wanted), atol=1e-12)


def test_likeness_is_the_squared_correlation_over_rows_where_the_benchmark_is_known() -> None:
    predicted, benchmark, weight = drawn()
    some = benchmark.clone()
    some[::3] = torch.nan
    known = some.isfinite()
    wanted = [np.corrcoef(column[known], benchmark[known])[0, 1] ** 2 for column in predicted.T]
    np.testing.assert_allclose(likeness(predicted, some), wanted, atol=1e-12)
    np.testing.assert_allclose(
        likeness(predicted, some, weight), likeness(predicted[known], benchmark[known], weight[known]), atol=1e-12
    )
    unknown = torch.full_like(benchmark, torch.nan)
    likeness(predicted.requires_grad_(), unknown).sum().backward()
    assert predicted.grad is not None
    assert not predicted.grad.any()


def test_exposure_is_the_mean_squared_correlation() -> None:
    predicted, features = drawn()[0], drawn(members=7, seed=1)[0]
    wanted = [np.mean([np.corrcoef(p, f)[0, 1] ** 2 for f in features.T]) for p in predicted.T]
    np.testing.assert_allclose(exposure(predicted, features), wanted, atol=1e-12)


def test_the_soft_corr_is_near_numerais_own_for_normal_predictions_and_the_same_for_gaussianised_ones() -> None:
    import pandas as pd
    from scipy.stats import norm

    predicted, target, _ = drawn(n=5000, members=1)
    table = pd.DataFrame({"p": predicted[:, 0].numpy()})
    wanted = float(official(table, pd.Series(target.numpy(), name="target"))["p"])
    assert 1 - numerai_corr(predicted, target).item() == pytest.approx(wanted, abs=0.005)
    ranks = (table["p"].rank(method="average") - 0.5) / len(table)
    gaussianised = torch.from_numpy(norm.ppf(ranks))[:, None]
    assert 1 - numerai_corr(gaussianised, target).item() == pytest.approx(wanted, abs=1e-4)


@losses
def test_a_row_of_weight_2_counts_as_two_rows_and_one_of_weight_0_not_at_all(name: Loss) -> None:
    predicted, target, _ = drawn()
    weight = torch.ones(40, dtype=torch.float64)
    weight[:10], weight[30:] = 2, 0
    twice = torch.cat([torch.arange(10), torch.arange(30)])
    np.testing.assert_allclose(
        LOSSES[name](predicted, target, weight), LOSSES[name](predicted[twice], target[twice], None), atol=1e-12
    )


def test_a_constant_is_uncorrelated_and_rows_without_weight_give_no_nan() -> None:
    predicted, target, weight = drawn()
    same = torch.full_like(target, 0.5)
    assert pearson(predicted, same).abs().max() < 1e-6
    assert numerai_corr(predicted, same).isfinite().all()
    assert all(loss(predicted, target, 0 * weight).isfinite().all() for loss in LOSSES.values())
    flat = torch.full((40, 1), 3.0, dtype=torch.float64, requires_grad=True)
    exposure(flat, predicted).sum().backward()
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_a_correlation_does_not_see_the_scale_of_predictions_and_the_squared_error_does() -> None:
    predicted, target, _ = drawn()
    for loss in (era_corr, numerai_corr):
        np.testing.assert_allclose(loss(7 * predicted - 3, target), loss(predicted, target), atol=1e-9)
    np.testing.assert_allclose(mse(predicted, target), ((predicted - target[:, None]) ** 2).mean(0), atol=1e-12)
    assert (mse(7 * predicted - 3, target) > mse(predicted, target)).all()
