"""Fitted generators of finished runs."""

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import arrays_from_bytes
from numerai_lab.fitting.fitted import FittedGenerator
from numerai_lab.runs.layout import generator_file
from numerai_lab.runs.reading import RunFiles, damaged_run


def restored_generator(run: RunFiles, config: Config, name: str, seed: int) -> FittedGenerator:
    """A generator as a finished run fitted it with a seed. Raises NlabError when its file is not what was written."""
    path = generator_file(name, seed)
    try:
        return FittedGenerator.restored(config.generators[name], arrays_from_bytes(run.content(path)))
    except ValueError as error:
        raise damaged_run(run.path, f"{path}: {error}") from error
