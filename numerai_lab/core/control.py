"""The synthetic world in which theory says that a method helps."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """A method's positive control: the world in which it must help, and why.

    world: its name in `data.world`; "" where no theory with a source gives one. why: one sentence.
    source: of the theory, not of the method.
    """

    world: str = ""
    why: str = "nobody has stated a world in which it must help"
    source: str = ""

    def __str__(self) -> str:
        """`must help in `steady`: … Source: …` or `no world: …`."""
        where = f"must help in `{self.world}`" if self.world else "no world"
        return f"{where}: {self.why}." + (f" Source: {self.source}." if self.source else "")
