"""Array types, and named arrays as bytes that execute nothing when read."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
TEXT = "#text"
"""Ends the names of arrays of texts in a file of arrays."""


def n_not_finite(values: Array) -> int:
    """The number of values that are NaN or infinite."""
    return 0 if values.dtype.kind in "biu" else int(np.count_nonzero(~np.isfinite(values)))


def arrays_to_bytes(arrays: Mapping[str, Array]) -> bytes:
    """Arrays of numbers or texts as the content of a safetensors file, which executes nothing when read.

    Texts become code points, in one dimension more.
    """
    from safetensors.numpy import save

    plain = {}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufU":
            raise TypeError(f"arrays of Python objects can't be saved: {name}")
        text = array.dtype.kind == "U"
        values = np.ascontiguousarray(array).reshape(array.shape)  # which makes one dimension of none
        plain[f"{name}{TEXT}" if text else name] = values[..., None].view(np.uint32) if text else values
    return bytes(save(plain))


def arrays_from_bytes(content: bytes) -> dict[str, Array]:
    """The inverse of `arrays_to_bytes`. Raises ValueError for anything but whole arrays."""
    from safetensors.numpy import load

    try:
        arrays = {name: np.array(array) for name, array in load(content).items()}  # which may be written to
        texts = {name: array.view(f"U{array.shape[-1]}")[..., 0] for name, array in arrays.items() if name.endswith(TEXT)}
        return {name.removesuffix(TEXT): texts.get(name, array) for name, array in arrays.items()}
    except Exception as error:  # header, size, kinds that numpy lacks: whatever broken bytes make it raise
        raise ValueError(f"no whole arrays ({error})") from error
