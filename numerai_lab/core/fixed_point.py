"""Products of small integers with columns of floats, as exact sums: the same on every machine and for any number of threads.

A column is written as whole numbers times a power of two, of 55 bits for the largest: what is below is rounded away, as float64
would. Half of the bits at a time leave sums of float64 exact; a digit of them at a time leaves those of torch's int8 matrices
exact, where these are faster. Source: Ozaki et al., 2012, Error-free transformations of matrix multiplication.
"""

from collections.abc import Iterator

import numpy as np

from numerai_lab.core.arrays import Array, Float64, Int8
from numerai_lab.core.integer_products import by_integers

HALVES = 2
DIGITS = 4
"""Of each half: the very first of 6 bits and a sign, others of 7, so that they lie between -64 and 64."""
FIRST_BITS = 6
BITS = 7
UPPER_BITS = FIRST_BITS + (DIGITS - 1) * BITS
LOWER_BITS = DIGITS * BITS
EXACT = 2**25
"""Sums of so much times a half are exact in float64, and times a digit in int32."""
CHUNK = 50_000
"""Values of a float64 copy of the features at a time: they fit into a core's own cache."""
FEW_COLUMNS = 2
"""Up to so many columns BLAS is twice as fast with each alone."""


def sums_fit(n_products: int, most: int | None) -> bool:
    """Whether so many products with integers up to `most` have exact sums; not where that is None."""
    return most is not None and n_products * most < EXACT


def chunked_times(features: Array, weights: Float64) -> Float64:
    """Features of any kind (rows × q) times floats (q × m): rows × m, as BLAS adds."""
    products = np.empty((len(features), weights.shape[1]))
    for rows, chunk in chunks(features):
        products[rows] = chunk @ weights
    return products


def float_times(features: Int8, weights: Float64) -> Float64:
    """Integers (rows × q) times floats (q × m), by BLAS and exact where `sums_fit` of q holds: rows × m."""
    if not np.isfinite(weights).all():
        return chunked_times(features, weights)
    halves, exponents = _halves(weights)
    products = np.empty((len(halves), len(features)))
    for rows, chunk in chunks(features):
        products[:, rows] = _each(halves, chunk.T)
    return _of_halves(products, exponents)


def times(features: Int8, weights: Float64) -> Float64:
    """The same numbers as `float_times`, by torch's product of int8 matrices where torch is loaded and that is faster here."""
    if not by_integers(features) or not np.isfinite(weights).all():
        return float_times(features, weights)
    import torch

    digits, exponents = _digits(weights)
    return _of_digits(torch._int_mm(torch.from_numpy(features), torch.from_numpy(digits).T).numpy().T, exponents)


def chunked_transposed_times(features: Array, columns: Float64) -> Float64:
    """Features of any kind (rows × q), transposed, times floats (rows × m): q × m, as BLAS adds."""
    products = np.zeros((features.shape[1], columns.shape[1]))
    for rows, chunk in chunks(features):
        products += chunk.T @ columns[rows]
    return products


def float_transposed_times(features: Int8, columns: Float64) -> Float64:
    """Integers (rows × q), transposed, times floats (rows × m), by BLAS and exact where `sums_fit` of the rows holds: q × m."""
    if not np.isfinite(columns).all():
        return chunked_transposed_times(features, columns)
    halves, exponents = _halves(columns)
    products = np.zeros((len(halves), features.shape[1]))
    for rows, chunk in chunks(features):
        products += _each(halves[:, rows], chunk)
    return _of_halves(products, exponents)


def transposed_times(features: Int8, columns: Float64) -> Float64:
    """The same numbers as `float_transposed_times`, by torch as in `times`."""
    if not by_integers(features) or not np.isfinite(columns).all():
        return float_transposed_times(features, columns)
    import torch

    digits, exponents = _digits(columns)
    return _of_digits(torch._int_mm(torch.from_numpy(digits), torch.from_numpy(features)).numpy(), exponents)


def chunks(features: Array) -> Iterator[tuple[slice, Float64]]:
    """Some rows after the others as float64, in the same memory."""
    height = max(16, CHUNK // max(1, features.shape[1]))
    space = np.empty((height, features.shape[1]))
    for start in range(0, len(features), height):
        rows = slice(start, min(start + height, len(features)))
        chunk = space[: rows.stop - start]
        chunk[:] = features[rows]
        yield rows, chunk


def _each(few: Float64, matrix: Float64) -> Float64:
    """few @ matrix."""
    return np.stack([row @ matrix for row in few]) if 0 < len(few) <= FEW_COLUMNS else few @ matrix


def _scaled(columns: Float64, bits: int) -> tuple[Float64, Array]:
    """Columns (n × m) below 2^bits (m × n), and the exponent of each column that is taken off."""
    rows = np.ascontiguousarray(columns.T)
    exponents = np.frexp(np.abs(rows).max(1, initial=0.0))[1][:, None]
    return np.ldexp(rows, bits - exponents), exponents


def _halves(columns: Float64) -> tuple[Float64, Array]:
    """Whole numbers, the upper halves of all columns first (2 m × n), and exponents."""
    scaled, exponents = _scaled(columns, UPPER_BITS)
    upper = np.rint(scaled)
    return np.concatenate([upper, np.rint((scaled - upper) * 2.0**LOWER_BITS)]), exponents


def _digits(columns: Float64) -> tuple[Int8, Array]:
    """Whole numbers, the first digits of all columns first (8 m × n), and exponents."""
    rest, exponents = _scaled(columns, FIRST_BITS)
    digits = np.empty((HALVES * DIGITS, *rest.shape), np.int8)
    for digit in digits:
        whole = np.rint(rest)
        digit[:] = whole
        rest = (rest - whole) * 2.0**BITS
    return digits.reshape(-1, len(columns)), exponents


def _of_halves(products: Float64, exponents: Array) -> Float64:
    """Products with columns (n × m) from those with their halves (2 m × n): rounded once."""
    upper, lower = np.split(products, HALVES)
    value: Float64 = np.ldexp(upper + lower * 2.0**-LOWER_BITS, exponents - UPPER_BITS).T
    return value


def _of_digits(products: Array, exponents: Array) -> Float64:
    by_digit = products.reshape(HALVES, DIGITS, len(exponents), products.shape[1])
    halves = by_digit[:, 0].astype(np.float64, order="C")  # so that sums of the values are added as those of float_times
    for digit in range(1, DIGITS):
        halves *= 2.0**BITS
        halves += by_digit[:, digit]
    return _of_halves(halves.reshape(-1, products.shape[1]), exponents)
