"""Products of small integers with floats are exact sums, the same by torch's integers as by float64."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from numerai_lab.core import integer_products
from numerai_lab.core.fixed_point import EXACT, sums_fit, times, transposed_times

WAYS = {"transposed": transposed_times, "plain": lambda cells, columns: times(np.ascontiguousarray(cells.T), columns)}
BITS = 55


def both_ways(monkeypatch: pytest.MonkeyPatch, cells: np.ndarray, columns: np.ndarray) -> list[np.ndarray]:
    """The products of cells (n × q), transposed, and columns (n × m) by torch's integers and by float64, each twice."""
    products = []
    for by_integers in (True, False):
        monkeypatch.setattr(integer_products, "integers_are_faster", lambda by=by_integers: by)
        products += [way(cells, columns) for way in WAYS.values()]
    return products


@pytest.mark.parametrize(
    ("n", "q", "m", "low", "high"),
    [(1, 1, 1, 0, 4), (5, 3, 2, -128, 127), (301, 40, 1, 0, 4), (20_000, 17, 3, -4, 4), (9, 2, 0, 0, 4), (20, 20, 0, 0, 4)],
)
def test_products_are_those_of_fractions_up_to_one_rounding_whichever_way_they_are_made(
    monkeypatch: pytest.MonkeyPatch, n: int, q: int, m: int, low: int, high: int
) -> None:
    rng = np.random.default_rng(n)
    cells = rng.integers(low, high, (n, q), endpoint=True).astype(np.int8)
    columns = rng.standard_normal((n, m)) * np.exp(5 * rng.standard_normal((n, m)))
    first, *others = both_ways(monkeypatch, cells, columns)
    assert first.shape == (q, m)
    for other in others:
        np.testing.assert_array_equal(first, other)
    for i in range(m):
        step = Fraction(2) ** (int(np.frexp(np.abs(columns[:, i]).max())[1]) - BITS)
        whole = [round(Fraction(value) / step) for value in columns[:, i].tolist()]
        wanted = [sum(a * b for a, b in zip(cells[:, k].tolist(), whole, strict=True)) * step for k in range(q)]
        assert first[:, i].tolist() == [float(value) for value in wanted]


@given(
    columns=arrays.arrays(
        np.float64, (6, 2), elements=st.floats(-1e300, 1e300) | st.sampled_from([0.0, 0.5, -1.0, 1 - 2**-53, 5e-324, 2.0**-60])
    )
)
def test_any_finite_floats_are_taken(columns: np.ndarray) -> None:
    cells = np.random.default_rng(0).integers(0, 5, (6, 4)).astype(np.int8)
    with pytest.MonkeyPatch.context() as patch:
        first, *others = both_ways(patch, cells, columns)
    for other in others:
        np.testing.assert_array_equal(first, other)
    slack = 6 * 4 * np.abs(columns).max(0, initial=0.0) * 2.0**-52
    with np.errstate(over="ignore"):
        assert np.all(np.abs(first - cells.T.astype(np.float64) @ columns) <= slack + 1e-320)


def test_the_largest_sums_that_fit_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    n = EXACT // 128 - 1
    assert sums_fit(n, 128)
    assert not sums_fit(n + 1, 128)
    assert not sums_fit(1, None)
    column = np.full((n, 1), 1 - 2.0**-53)
    for product in both_ways(monkeypatch, np.full((n, 1), -128, np.int8), column):
        assert product.item() == -128 * n * (1 - 2.0**-53)
