"""Names of the files of a run folder."""

from pathlib import Path

SCHEMA = 1
"""Version of the description in docs/run-folder.md: rises when a file, key or column goes or changes its meaning."""
CONFIG = "config.yaml"
MANIFEST = "manifest.json"
LOG = "log.txt"
PROGRESS = "progress.json"
"""How far the run is; in an unfinished folder alone."""
ERROR_TEXT = "failed.txt"
PREDICTIONS = "predictions.parquet"
PER_ERA = "per_era.parquet"
SCORES = "scores.csv"
SCORES_PAGE = "scores.md"
REPORT = "report.html"
REALISM = "realism.csv"
CURVE = "realism_curve.csv"
"""Augmentation curves of augmenters that invent rows."""
HOLDOUT_SCORES = "holdout.csv"
HOLDOUT_LOOKS = "holdout.json"
LEDGER = "ledger.jsonl"
"""Beside the run folders: looks at holdouts."""
MODELS = "models"
"""Folder of fitted models, generators and augmenters."""
PORTABLE = f"{MODELS}/portable.json"
"""The facts by which the folder predicts rows of other files."""
REFITS = "refits"
"""Folder of models that were trained again on all resolved eras, and never scored."""
UNFINISHED = ".unfinished-"
"""Begins the name of a run folder under construction."""
FAILED = "failed"
"""Ends the name of the folder of a failed run."""

ARRAYS = ".safetensors"


def model_file(variant: str, seed: int, suffix: str, number: int | None = None) -> str:
    """The trained model of a variant, in the format of its library.

    number: the place of the model's target among those of the variant, from 1; None where the variant has one target.
    """
    return f"{MODELS}/{model_name(variant, seed, number)}{suffix}"


def model_name(variant: str, seed: int, number: int | None = None) -> str:
    """The name of a trained model's file without its suffix; number: as in `model_file`."""
    return f"{variant}@{seed}" + ("" if number is None else f"-target{number}")


def models_of(run: Path, variant: str, seed: int) -> list[str]:
    """The files of the models of a variant, one for each of its targets, by their path in the run folder."""
    return model_files(run, f"{variant}@{seed}[.-]*")


def generator_file(name: str, seed: int) -> str:
    """The arrays of a fitted generator."""
    return f"{MODELS}/generator-{name}@{seed}{ARRAYS}"


def augmenter_file(name: str, seed: int, since: int | str | None) -> str:
    """The arrays of a fitted augmenter. since: its first training era, if it is not that of the run."""
    which = "" if since is None else f"-since-{since}"
    return f"{MODELS}/augmenter-{name}@{seed}{which}{ARRAYS}"


def plot_file(name: str) -> str:
    """A plot of the report."""
    return f"plots/{name}.svg"


def name_in_file(path: str) -> str:
    """`<name>@<seed>` of the file of a model or generator."""
    return Path(path).name.removesuffix(ARRAYS).removeprefix("generator-")


def model_files(run: Path, pattern: str) -> list[str]:
    """Files of the folder of models whose names match a glob pattern, by their path in the run folder, sorted."""
    return sorted(f"{MODELS}/{path.name}" for path in (run / MODELS).glob(pattern))
