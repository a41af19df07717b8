"""Products of small integers are exact, whichever library makes them."""

import subprocess
import sys

import numpy as np
import pytest

from numerai_lab.core import integer_products
from numerai_lab.core.integer_products import exact, gram


@pytest.mark.parametrize("by_integers", [True, False])
@pytest.mark.parametrize(
    ("n_rows", "n_columns", "low", "high"), [(1, 1, 0, 4), (7, 3, -128, 127), (300, 401, 0, 4), (50, 800, -4, 4)]
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


def test_only_what_both_libraries_sum_exactly_is_taken() -> None:
    cells = np.full((10, 2), -128, np.int8)
    assert exact(cells, 1000)
    assert not exact(cells, 1024)  # 2²⁴, where float32 begins to round
    assert not exact(cells.astype(np.float32), 10)
    assert not exact(cells[:0], 0)


def test_torch_is_loaded_only_where_the_work_makes_up_for_it() -> None:
    program = (
        "import sys; from numerai_lab.core.integer_products import integers_are_faster, prepare\n"
        "prepare(1e9); assert not integers_are_faster() and 'torch' not in sys.modules\n"
        "prepare(1e13); assert 'torch' in sys.modules; integers_are_faster()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
