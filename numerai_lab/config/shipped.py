"""The configs that come with this package: in a checkout its `configs`, else the files that pip installed."""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from numerai_lab.core.errors import NlabError

CHECKOUT = Path(__file__).parents[2] / "configs"
INSTALLED = "share/numerai_lab/configs/"
"""Where pip puts the configs, below the environment's folder."""


def shipped_configs(checkout: Path = CHECKOUT) -> dict[str, str]:
    """The text of every shipped config by its path below `configs`, such as `controls/null.yaml`.

    Raises NlabError where this installation has none.
    """
    if (checkout / "quickstart.yaml").is_file():
        paths = {path.relative_to(checkout).as_posix(): path for path in checkout.rglob("*.yaml")}
    else:
        paths = _installed()
    if not paths:
        raise NlabError(
            "init: this installation has no shipped configs; install it again with `pip install --force-reinstall numerai_lab`"
        )
    return {name: path.read_text(encoding="utf-8") for name, path in sorted(paths.items())}


def _installed() -> dict[str, Path]:
    """The configs among the files that pip recorded."""
    try:
        recorded = files("numerai_lab") or []
    except PackageNotFoundError:
        return {}
    return {
        file.as_posix().partition(INSTALLED)[2]: Path(str(file.locate()))
        for file in recorded
        if INSTALLED in file.as_posix() and file.suffix == ".yaml"
    }
