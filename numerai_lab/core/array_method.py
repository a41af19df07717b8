"""The small contract: a plain class that works on arrays, as a component.

The class stores its parameters in the constructor, and `fit` leaves what it learned in attributes that end in `_`.
"""

from typing import Any, ClassVar, SupportsIndex

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Int64
from numerai_lab.core.component import Component
from numerai_lab.core.panel import Panel
from numerai_lab.core.plain_state import from_arrays, to_arrays

RESERVED = ("names_", "selected_", "structure_")
"""Names of learned arrays that the program uses itself."""


COMPONENTS: dict[type, type["ArrayMethod"]] = {}
"""Plain class → the component that is made of it; filled as plug-ins are loaded."""


class ArrayMethod(Component):
    """A component whose work a plain class does.

    wraps: the class. passed: names of the parameters that its constructor takes. The object that transforms is made from the
    saved arrays each time, in the run that fitted it too, so that what is not saved is missing at once.
    """

    wraps: ClassVar[Any]
    passed: ClassVar[tuple[str, ...]] = ()
    tried_first: ClassVar[bool] = True

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """For other processes: a component of a plain class goes by that class, which has the name."""
        if COMPONENTS.get(getattr(type(self), "wraps", object)) is not type(self):
            return super().__reduce_ex__(protocol)
        return _component, (self.wraps, self.model_dump(), self.state())

    def unfitted(self) -> Any:
        """A new object of the class with the parameters of this component."""
        return self.wraps(**{name: getattr(self, name) for name in self.passed})

    def learned(self, fitted: Any) -> dict[str, Any]:
        """What an object learned, by attribute."""
        return {name: value for name, value in vars(fitted).items() if name.endswith("_") and not name.startswith("_")}

    def keep(self, fitted: Any) -> None:
        """Keeps what an object learned, and forgets the last fit. Raises ValueError where it can't be saved."""
        learned = self.learned(fitted)
        if taken := sorted({*RESERVED} & learned.keys()):
            raise ValueError(f"{taken[0]} is a name that the program uses itself; choose another")
        for name in self.state():
            del self.__dict__[name]
        for name, array in to_arrays(learned).items():
            setattr(self, name, array)

    def revived(self) -> Any:
        """The fitted object, from the saved arrays."""
        fitted = self.unfitted()
        vars(fitted).update(from_arrays(self.state()))
        return fitted


def _component(cls: type, parameters: dict[str, Any], state: dict[str, Array]) -> ArrayMethod:
    """The component of a plain class, with these parameters and this state."""
    return COMPONENTS[cls].model_validate(parameters).restored(state)


def rows_drawn(sizes: list[int], max_rows: int | None, rng: np.random.Generator) -> list[Array | slice]:
    """The rows of each part that are learned from: all, or an equal number of each, drawn without replacement, in order.

    sizes: rows of each part. max_rows: of all parts together; None: all rows.
    """
    if max_rows is None or sum(sizes) <= max_rows:
        return [slice(None)] * len(sizes)
    quota = max(1, max_rows // len(sizes))
    return [np.sort(rng.permutation(n)[:quota]) for n in sizes]


def arrays_of(panel: Panel, max_rows: int | None, rng: np.random.Generator) -> tuple[Float32, Float32 | None, Int64]:
    """Features on 0..1 (float32, rows × features), target (float32, rows; None where hidden), and the era of each row."""
    sizes = (panel.bounds[:, 1] - panel.bounds[:, 0]).tolist()
    drawn = rows_drawn(sizes, max_rows, rng)
    n_rows = sum(size if isinstance(rows, slice) else len(rows) for size, rows in zip(sizes, drawn, strict=True))
    X, eras = np.empty((n_rows, panel.n_raw), np.float32), np.empty(n_rows, np.int64)
    y = None if panel.target is None else np.empty(n_rows, np.float32)
    start = 0
    for block, rows in zip(panel.blocks(), drawn, strict=True):
        part = block.features[rows].astype(np.float32) / np.float32(block.top)
        place = slice(start, start + len(part))
        X[place], eras[place] = part, block.era
        if y is not None and block.target is not None:
            y[place] = block.target[rows]
        start = place.stop
    return X, y, eras
