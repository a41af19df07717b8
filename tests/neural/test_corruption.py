"""Replaced cells: exactly as many as asked, from other rows, with the column's distribution within the era."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2

from numerai_lab.neural.corruption import chosen_cells, swapped
from numerai_lab.neural.networks import generator_for
from numerai_lab.neural.rows import RowBatch


def two_eras(n_rows: int = 200, n_columns: int = 20) -> RowBatch:
    """Two eras whose columns have different distributions: bins 0 to 2, and 2 to 4 unevenly."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, (n_rows, n_columns))
    second = rng.choice([2, 3, 4], (n_rows, n_columns), p=[0.1, 0.3, 0.6])
    where = np.repeat([0, 1], n_rows)
    return RowBatch(
        torch.from_numpy(np.concatenate([first, second]).astype(np.int8)),
        torch.from_numpy(where),
        ((0, n_rows), (n_rows, 2 * n_rows)),
    )


@pytest.mark.parametrize(("columns", "chosen"), [(780, 468), (7, 4), (7, 0), (7, 7), (1, 1), (256, 255)])
def test_exactly_so_many_cells_are_chosen_in_every_row(columns: int, chosen: int) -> None:
    mask = chosen_cells(300, columns, chosen, generator_for(0))
    assert (mask.sum(1) == chosen).all()


def test_every_cell_is_chosen_equally_often() -> None:
    mask = chosen_cells(20_000, 10, 3, generator_for(0)).numpy()
    assert np.abs(mask.mean(0) - 0.3).max() < 4 * (0.3 * 0.7 / 20_000) ** 0.5
    together = (mask[:, 0] & mask[:, 9]).mean()
    assert together == pytest.approx(3 * 2 / (10 * 9), abs=4 * (0.067 / 20_000) ** 0.5)


@pytest.mark.parametrize(("fraction", "n"), [(0.6, 12), (0.15, 3), (0.3, 6), (1.0, 20)])
def test_floor_of_the_fraction_is_replaced_and_the_rest_stays(fraction: float, n: int) -> None:
    batch = two_eras()
    cells, mask = swapped(batch, fraction, "era", generator_for(0))
    assert (mask.sum(1) == n).all()
    assert torch.equal(cells[~mask], batch.cells[~mask])
    assert cells.dtype == torch.int8


def marginal_p(scope: str, shares_of_era: bool) -> float:
    """p of χ² between the bins of replaced cells of the second era and the shares of that era, or of both."""
    batch = two_eras()
    counts = np.zeros((20, 5))
    noise = generator_for(1)
    for _ in range(20):
        cells, mask = swapped(batch, 0.6, scope, noise)  # type: ignore[arg-type]
        cells, mask = cells[200:].numpy(), mask[200:].numpy()
        counts += np.array([np.bincount(cells[mask[:, j], j], minlength=5) for j in range(20)])
    source = batch.cells[200:] if shares_of_era else batch.cells
    shares = np.array([np.bincount(source[:, j], minlength=5) / len(source) for j in range(20)])
    wanted = shares * counts.sum(1, keepdims=True)
    possible = wanted > 0
    if (counts[~possible] > 0).any():
        return 0.0
    statistic = ((counts - wanted)[possible] ** 2 / wanted[possible]).sum()
    return float(chi2.sf(statistic, possible.sum() - 20))


def test_replaced_cells_have_the_columns_distribution_within_the_era_or_over_all() -> None:
    assert marginal_p("era", shares_of_era=True) > 0.001
    assert marginal_p("global", shares_of_era=False) > 0.001
    assert marginal_p("era", shares_of_era=False) < 1e-6  # the test can tell
    assert marginal_p("global", shares_of_era=True) < 1e-6


def test_a_replaced_cell_never_comes_from_its_own_row_unless_it_is_alone() -> None:
    batch = two_eras(n_rows=3)
    numbered = RowBatch(torch.arange(6, dtype=torch.int8)[:, None].repeat(1, 20), batch.era, batch.groups)
    cells, _ = swapped(numbered, 1.0, "era", generator_for(0))
    assert (cells != numbered.cells).all()
    assert set(cells[:3].flatten().tolist()) == {0, 1, 2}
    alone = RowBatch(numbered.cells[:1], batch.era[:1], ((0, 1),))
    assert torch.equal(swapped(alone, 1.0, "era", generator_for(0))[0], alone.cells)


def test_donors_of_a_rows_cells_are_independent_of_each_other() -> None:
    batch = two_eras(n_rows=100, n_columns=2)
    numbered = RowBatch(torch.arange(200, dtype=torch.int16)[:, None].repeat(1, 2), batch.era, batch.groups)
    noise = generator_for(0)
    pairs = [tuple(swapped(numbered, 1.0, "era", noise)[0][0].tolist()) for _ in range(2000)]
    assert np.mean([a == b for a, b in pairs]) == pytest.approx(1 / 99, abs=4 * (0.0101 / 2000) ** 0.5)
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 4 / 2000**0.5
