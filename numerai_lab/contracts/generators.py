"""What a generator promises."""

from collections.abc import Callable, Mapping

import numpy as np

from numerai_lab.contracts.comparing import apart
from numerai_lab.contracts.small_panels import parts
from numerai_lab.core.arrays import Float32, arrays_from_bytes, arrays_to_bytes
from numerai_lab.core.panel import Block, Panel
from numerai_lab.generators import Generator

N_CHUNKS = 7


def fitted(template: Generator, panel: Panel, seed: int = 0) -> Generator:
    """The generator, fitted on what the program lets it see of a panel."""
    shown = panel if template.uses_labels else panel.without_target()
    return template.fresh().fit(shown, np.random.default_rng(seed))


def shape_of_columns(template: Generator, panel: Panel, tolerance: float) -> str:
    """Columns are finite float32, one for each name, and names differ."""
    past, era = parts(panel)
    generator, block = fitted(template, past), panel.without_target().block(era)
    values, names = generator.transform(block), generator.names_out()
    if values.dtype != np.float32 or values.shape != (len(block), len(names)):
        return f"transform gives {values.shape} of {values.dtype}, wanted float32, {len(block)} rows × {len(names)} names"
    if len({*names}) < len(names):
        return f"names_out gives a name twice: {', '.join(names)}"
    n_wrong = int(np.count_nonzero(~np.isfinite(values)))
    return f"{n_wrong} values are NaN or infinite" if n_wrong else ""


def same_bytes(template: Generator, panel: Panel, tolerance: float) -> str:
    """The same seed gives the same columns, twice, and after other eras were transformed."""
    past, era = parts(panel)
    generator, again = (fitted(template, past) for _ in range(2))
    first = _columns(generator, panel, era)
    for other in panel.eras.tolist():
        _columns(generator, panel, other)
    if not np.array_equal(first, _columns(generator, panel, era)):
        return "transform gives other columns after other eras were transformed; it must remember nothing"
    if not np.array_equal(first, _columns(again, panel, era)):
        return "two fits with the same seed give other columns; draw random numbers from `rng` alone"
    return ""


def drawn_as_declared(template: Generator, panel: Panel, tolerance: float) -> str:
    """Another seed gives the same columns where the class says that it draws nothing at random."""
    if template.stochastic:
        return ""
    past, era = parts(panel)
    first, other = (_columns(fitted(template, past, seed), panel, era) for seed in (0, 1))
    if np.array_equal(first, other):
        return ""
    return "another seed gives other columns, and the class says `stochastic = False`, so one fit serves all seeds; remove it"


def same_in_chunks(template: Generator, panel: Panel, tolerance: float) -> str:
    """A row's columns are the same whatever rows come with it, unless the class says otherwise."""
    past, era = parts(panel)
    generator, block = fitted(template, past), panel.without_target().block(era)
    if generator.whole_era:
        return ""
    pieces = [rows for rows in np.array_split(np.arange(len(block)), N_CHUNKS) if len(rows)]
    chunks = [generator.transform(Block(era, block.features[rows], block.top)) for rows in pieces]
    difference = apart(generator.transform(block), np.concatenate(chunks), tolerance)
    hint = "say so: `within_era = True` (a property `whole_era` of a Generator)"
    return f"a row's columns depend on the rows that come with it ({difference}); {hint}" if difference else ""


def same_when_restored(template: Generator, panel: Panel, tolerance: float) -> str:
    """Saved as plain arrays and restored, it gives the same columns."""
    past, era = parts(panel)
    generator = fitted(template, past)
    restored = template.restored(arrays_from_bytes(arrays_to_bytes(generator.state())))
    if restored.names_out() != generator.names_out():
        return "saved and loaded, it names other columns"
    same = np.array_equal(_columns(generator, panel, era), _columns(restored, panel, era))
    return "" if same else "saved and loaded, it gives other columns; keep all that `fit` learns in names that end in _"


def same_after_a_fit(template: Generator, panel: Panel, tolerance: float) -> str:
    """A fit forgets the one before, and leaves its parameters and the data as they were."""
    past, era = parts(panel)
    before, dumped = np.array(past.block(era if era in past.eras else int(past.eras[0])).features), template.model_dump()
    generator = fitted(template, past, seed=5)
    generator.fit(past if template.uses_labels else past.without_target(), np.random.default_rng(0))
    if not np.array_equal(_columns(generator, panel, era), _columns(fitted(template, past), panel, era)):
        return "a second fit of the same object gives other columns than a first one"
    if template.state() or template.model_dump() != dumped:
        return "a fit changes the template that it is made from"
    after = past.block(era if era in past.eras else int(past.eras[0])).features
    return "" if np.array_equal(before, after) else "a fit changes the features that it is given"


CHECKS: Mapping[str, Callable[[Generator, Panel, float], str]] = {
    "columns are finite float32, one a name": shape_of_columns,
    "the same seed gives the same bytes": same_bytes,
    "another seed gives the same columns, unless it is stochastic": drawn_as_declared,
    "a row's columns do not depend on other rows": same_in_chunks,
    "saved and loaded, it gives the same columns": same_when_restored,
    "a fit forgets the last one and changes nothing else": same_after_a_fit,
}


def _columns(generator: Generator, panel: Panel, era: int) -> Float32:
    return generator.transform(panel.without_target().block(era))
