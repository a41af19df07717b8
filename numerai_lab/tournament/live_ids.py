"""The ids that a round's predictions must cover, from the smallest file of the round that has them."""

import re
from pathlib import Path

from numerai_lab.core.errors import NlabError
from numerai_lab.tournament.account import Round
from numerai_lab.tournament.client import TOURNAMENT, Client

LIST = "query($round: Int $tournament: Int) { listDatasets(round: $round tournament: $tournament) }"
ADDRESS = """query($filename: String! $round: Int $tournament: Int) {
    dataset(filename: $filename round: $round tournament: $tournament)
}"""
SMALLEST_FIRST = ("live_example_preds.parquet", "live_benchmark_models.parquet", "live.parquet")


UNKNOWN = "the live ids of this round can't be had, so the file was not checked against them"


def live_ids(client: Client, of_round: Round, folder: Path) -> list[str] | None:
    """The live ids of a round, from its file in `folder` or the API; None where they can't be had."""
    import polars as pl

    from numerai_lab.data.download import download

    path = folder / f"{of_round.number}_live_ids.parquet"
    try:
        if not path.is_file():
            for older in folder.glob("*_live_ids.parquet*"):
                older.unlink(missing_ok=True)
            download(_address(client, of_round), path, pause=client.pause)
        return pl.read_parquet(path, columns=["id"], glob=False)["id"].cast(pl.String).to_list()
    except (NlabError, pl.exceptions.PolarsError, OSError):
        return None


def _address(client: Client, of_round: Round) -> str:
    """Where the smallest file of the newest data version lies that has all live ids. Raises NlabError without one."""
    variables = {"round": of_round.number, "tournament": TOURNAMENT}
    listed = client.query("listDatasets", LIST, variables)
    names = [name for name in listed or [] if isinstance(name, str) and re.match(r"v\d+(\.\d+)?/", name)]
    for version in sorted({name.split("/")[0] for name in names}, key=lambda v: [int(n) for n in v[1:].split(".")], reverse=True):
        for name in SMALLEST_FIRST:
            if f"{version}/{name}" in names:
                return str(client.query("dataset", ADDRESS, {**variables, "filename": f"{version}/{name}"}))
    raise NlabError("Numerai lists no live file")
