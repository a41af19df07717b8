"""The binned matrix of training rows, kept for the next model that learns from the same rows."""

from collections.abc import Callable
from typing import Any


class SharedMatrix:
    """Holds one matrix at a time; the one before is let go of before another is made."""

    def __init__(self) -> None:
        self._rows = self._key = ""
        self._matrix: Any = None

    def keep_for(self, rows: str) -> None:
        """Lets go of the matrix unless it is of these rows. rows: a hash of all that they depend on and is known by now."""
        if rows != self._rows:
            self.clear()
        self._rows = rows

    def obtain(self, key: str, make: Callable[[], Any]) -> Any:
        """The matrix of this key: the one that is held, or a new one by `make`.

        key: all that the matrix depends on beside the rows of `keep_for`, such as cuts.
        """
        if self._matrix is None or self._key != key:
            self._matrix = None
            self._matrix = make()
            self._key = key
        return self._matrix

    def clear(self) -> None:
        """Lets go of the matrix."""
        self._matrix = None
