"""The live tournament: numerapi says where a file is, the download is ours; files already there are used as they are."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from numerai_lab.basics import NlabError, Tick, nearest, silent
from numerai_lab.data.download import changed, download, remote_state
from numerai_lab.data.files import EXTRAS, TABLES, Files
from numerai_lab.data.source import Outline, Source, Tournament
from numerai_lab.store import cache_dir

REQUIRED = ("features.json", *TABLES)
ADDRESS = """query ($filename: String! $round: Int $tournament: Int) {
    dataset(filename: $filename round: $round tournament: $tournament)
}"""
"""The query that numerapi's own download_dataset sends; numerapi has no call that gives the address alone."""


class Numerai(Source):
    """The files of a tournament version, downloaded once, verified, and kept; no account is needed.

    Files that lie in the folder already are used as they are and nothing is asked of the network; `nlab data update`
    fetches those that have changed since, such as the weekly growing validation.

    Source: numer.ai's data API by the PyPI package `numerapi`; the data's licence forbids passing it on.
    """

    source: Literal["numerai"] = "numerai"
    version: str = Field("v5.3", pattern=r"^v\d+(\.\d+)?$", description="the tournament's data version, such as v5.0 or v5.3")
    path: str | None = Field(None, description="folder of the files; default `numerai/<version>` in the cache folder")

    @property
    def folder(self) -> Path:
        """Where the files lie; put them there by hand where there is no network."""
        return Path(self.path).expanduser() if self.path else cache_dir() / "numerai" / self.version

    def version_label(self) -> str:
        return f"numerai {self.version}, {Files(path=str(self.folder)).version_label()}"

    def planned(self) -> Outline | None:
        if not self._complete:
            raise NlabError(
                f"data.source: {', '.join(REQUIRED)} of {self.version} are not in {self.folder} yet, and a plan fetches "
                f"nothing; run `nlab data download --set data.version={self.version}` first"
            )
        return None

    @property
    def _complete(self) -> bool:
        return all((self.folder / name).is_file() for name in REQUIRED)

    def files(self, tick: Tick = silent) -> Tournament:
        if not self._complete:
            for name in self._published():
                if not (self.folder / name).is_file():
                    download(self._address(name), self.folder / name, tick)
        return Files(path=str(self.folder)).files()

    def update(self, tick: Tick = silent) -> list[str]:
        """Downloads what is missing or has changed at the source; returns the names of the files that are new."""
        renewed = []
        for name in self._published():
            path, address = self.folder / name, self._address(name)
            if not path.is_file() or changed(path, remote_state(address)):
                download(address, path, tick)
                renewed.append(name)
        return renewed

    def _published(self) -> list[str]:
        """Names of this version's files that we use, required ones first."""
        with self._asking():
            names: list[str] = _client().list_datasets()
        versions = sorted({name.split("/")[0] for name in names if "/" in name})
        if self.version not in versions:
            raise NlabError(f"data.version: Numerai has no {self.version!r}; {nearest(self.version, versions)}")
        return [name for name in (*REQUIRED, *EXTRAS) if f"{self.version}/{name}" in names]

    def _address(self, name: str) -> str:
        client = _client()
        variables = {"filename": f"{self.version}/{name}", "round": None, "tournament": client.tournament_id}
        with self._asking():
            return str(client.raw_query(ADDRESS, variables)["data"]["dataset"])

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """numerapi logs what went wrong and answers nothing, or raises; either way the user hears one sentence."""
        try:
            yield
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise NlabError(
                f"data.source: Numerai's API gave no answer; put {', '.join(REQUIRED)} into {self.folder} by hand, "
                "or use --set data.source=synthetic"
            ) from error


def _client() -> Any:
    from numerapi import NumerAPI

    return NumerAPI(verbosity="critical")
