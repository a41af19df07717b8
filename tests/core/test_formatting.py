"""Texts for people."""

from numerai_lab.core.formatting import listed


def test_of_many_names_the_first_are_listed() -> None:
    assert listed(["a", "b"], 2) == "a, b"
    assert listed(["a", "b", "c", "d"], 2) == "a, b and 2 more"
