"""Products of small integers are exact, whichever library makes them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from numerai_lab.core import integer_products
from numerai_lab.core.covariance import moments
from numerai_lab.core.integer_products import TORCH_BYTES, column_sums, exact, gram, inner, largest
from tests.conftest import component, make_panel

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("by_integers", [True, False])
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "low", "high"),
    [
        (1, 1, 0, 4),
        (300, 1, 0, 4),
        (300, 2, 0, 4),
        (1, 300, 0, 4),
        (300, 16, 0, 4),
        (7, 3, -128, 127),
        (300, 401, 0, 4),
        (50, 800, -4, 4),
    ],
)
def test_products_of_integers_are_those_of_int64(
    monkeypatch: pytest.MonkeyPatch, by_integers: bool, n_rows: int, n_columns: int, low: int, high: int
) -> None:
    monkeypatch.setattr(integer_products, "integers_are_faster", lambda: by_integers)
    cells = np.random.default_rng(n_columns).integers(low, high, (n_rows, n_columns), endpoint=True).astype(np.int8)
    wanted = np.tril(cells.astype(np.int64).T @ cells.astype(np.int64))
    locked = cells.copy()
    locked.flags.writeable = False  # as a memory-map's
    for layout in (cells, np.asfortranarray(cells), cells[::-1], locked):
        product = gram(layout)
        assert product.flags.f_contiguous
        np.testing.assert_array_equal(np.tril(product), np.tril(layout.astype(np.int64).T @ layout.astype(np.int64)))
    np.testing.assert_array_equal(np.tril(gram(cells)), wanted)
    np.testing.assert_array_equal(inner(cells, cells[::-2]), cells.astype(np.int64) @ cells[::-2].astype(np.int64).T)
    np.testing.assert_array_equal(column_sums(cells, largest(cells) or 0), cells.sum(0, dtype=np.int64))


def test_only_what_both_libraries_sum_exactly_is_taken() -> None:
    cells = np.full((10, 2), -128, np.int8)
    assert exact(largest(cells), 1000)
    assert not exact(largest(cells), 1024)  # 2²⁴, where float32 begins to round
    assert not exact(largest(cells.astype(np.float32)), 10)
    assert not exact(largest(cells[:0]), 0)


def test_torch_is_loaded_only_where_the_work_makes_up_for_it() -> None:
    program = (
        "import sys; from numerai_lab.core import integer_products as products\n"
        "from numerai_lab.core.covariance import moments; from tests.conftest import make_panel\n"
        "products.prepare(1e9); moments(make_panel(4, 50, 6), 'pooled')\n"
        "assert not products.integers_are_faster() and 'torch' not in sys.modules\n"
        "products.WORTH_LOADING = 200 * 6**2; products.prepare(200 * 6**2 - 1); assert 'torch' not in sys.modules\n"
        "moments(make_panel(4, 50, 6), 'pooled'); assert 'torch' in sys.modules; products.integers_are_faster()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


def test_moments_by_products_of_integers_are_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    both = []
    for by_integers in (True, False):
        monkeypatch.setattr(integer_products, "integers_are_faster", lambda by=by_integers: by)
        both.append(moments(make_panel(4, 50, 6), "era_mean"))
    np.testing.assert_array_equal(both[0].covariance, both[1].covariance)


def test_an_estimate_counts_torch_where_moments_load_it() -> None:
    for method in ("pca", "factor_analysis", "log_ratio_pairs", "gmm_targets"):
        wide, narrow = (component(method).fitting_bytes(n_rows, 3555) for n_rows in (900_000, 70_000))
        assert wide - narrow == TORCH_BYTES
