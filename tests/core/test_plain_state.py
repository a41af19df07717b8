"""Fitted attributes as arrays: what comes back is what went in, and what can't be kept is named."""

from typing import Any

import numpy as np
import pytest

from numerai_lab.core.arrays import arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.plain_state import from_arrays, to_arrays


def returned(attributes: dict[str, Any]) -> dict[str, Any]:
    return from_arrays(arrays_from_bytes(arrays_to_bytes(to_arrays(attributes))))


def test_numbers_texts_lists_and_dicts_come_back_with_their_types() -> None:
    attributes = {
        "a_": 3,
        "b_": 0.1,
        "c_": "ein Text",
        "d_": None,
        "e_": True,
        "f_": [1, [2.5, "x"], (4,)],
        "g_": {"a": {"b": [1]}, "": 2},
        "h_": float("inf"),
        "empty_": [],
    }
    back = returned(attributes)
    assert back == attributes
    assert [type(value) for value in back.values()] == [type(value) for value in attributes.values()]


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.int8).reshape(2, 3),
        np.array([True, False]),
        np.array(["a", "long text"]),
        np.array(2.5),
        np.zeros((0, 3), np.float32),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ],
    ids=str,
)
def test_arrays_come_back_as_they_were(array: np.ndarray) -> None:
    back = returned({"x_": array, "list_": [array, array]})
    for value in (back["x_"], *back["list_"]):
        assert value.dtype == array.dtype
        np.testing.assert_array_equal(value, array)


def test_scalars_of_numpy_stay_scalars() -> None:
    back = returned({"x_": np.float32(0.5)})["x_"]
    assert back == np.float32(0.5)
    assert isinstance(back, np.floating)


def test_names_that_meet_do_not_mix() -> None:
    back = returned({"a_": {"b": np.array([1])}, "a_.b_": np.array([2])})
    assert (back["a_"]["b"][0], back["a_.b_"][0]) == (1, 2)


def test_fitted_estimators_come_back_and_transform_the_same() -> None:
    from sklearn.decomposition import PCA

    X = np.random.default_rng(0).normal(size=(50, 4))
    pca = PCA(2).fit(X)
    np.testing.assert_array_equal(returned({"pca_": pca})["pca_"].transform(X), pca.transform(X))


class Thing:
    """A class that nobody knows."""


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Thing(), "x_ is a Thing, and what is saved are"),
        ({"a": [Thing()]}, r"x_\.a\.0 is a Thing"),
        ({1: 2}, "x_ is a dict"),
        (np.array([Thing()]), "x_ is an array of object"),
        (np.array([1j]), "x_ is an array of complex128"),
        (np.ma.masked_array([1.0]), "x_ is an array of float64"),
        ({1, 2}, "x_ is a set"),
    ],
)
def test_what_can_not_be_kept_is_named(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        to_arrays({"x_": value})


def test_arrays_of_anything_else_are_no_attributes() -> None:
    with pytest.raises(ValueError, match="no fitted attributes"):
        from_arrays({"mean_": np.zeros(3)})
