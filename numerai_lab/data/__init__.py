"""Data sources, and the reader that loads their files as panels. A new source is one file and one line here."""

from numerai_lab.data.files import Files
from numerai_lab.data.numerai import Numerai
from numerai_lab.data.source import Source
from numerai_lab.data.synthetic import Synthetic

SOURCES: dict[str, type[Source]] = {"synthetic": Synthetic, "numerai": Numerai, "files": Files}

__all__ = ["SOURCES", "Source"]
