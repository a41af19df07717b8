"""The live tournament: downloads its files, unless they are in the folder already."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from numerai_lab.core.errors import NlabError, nearest
from numerai_lab.core.progress import Progress, no_progress
from numerai_lab.data.download import changed, download, glimpse, remote_state
from numerai_lab.data.files import EXTRAS, FEATURES, LAYOUTS, Files
from numerai_lab.data.source import LIVE_BENCHMARKS, LIVE_TABLES, LiveFiles, Outline, Source, Tournament
from numerai_lab.storage.folders import cache_dir, user_path
from numerai_lab.storage.whole_files import write_whole

REQUIRED = (FEATURES, *LAYOUTS[0].tables)
LIVE_FOLDER = "live-"
"""Begins the name of the folder of a round's live files, before the round's number."""
A_DAY = 86_400.0
ADDRESS = """query ($filename: String! $round: Int $tournament: Int) {
    dataset(filename: $filename round: $round tournament: $tournament)
}"""
"""The query of numerapi's own download_dataset; numerapi has no call that returns the address alone."""


GROWN = "validation has grown at the source since it was downloaded; `nlab data update` fetches it"


class Numerai(Source):
    """The files of a tournament version, downloaded once, verified, and kept; no account is needed.

    Files that lie in the folder already are used as they are. Once a day a run asks the server whether the downloaded
    validation file has grown, and says so; only `nlab data update` fetches changes. Files that you put there by hand are not
    checked.

    Source: numer.ai's data API by the PyPI package `numerapi`; the data's licence forbids passing it on.
    """

    source: Literal["numerai"] = "numerai"
    version: str = Field("v5.3", pattern=r"^v\d+(\.\d+)?$", description="the tournament's data version, such as v5.0 or v5.3")
    path: str | None = Field(None, description="folder of the files; default `numerai/<version>` in the cache folder")

    @property
    def folder(self) -> Path:
        """The folder of the files; without a network, put them there by hand."""
        return user_path(self.path) if self.path else cache_dir() / "numerai" / self.version

    @property
    def cache_folders(self) -> tuple[Path, ...]:
        return () if self.path else (self.folder,)

    def version_label(self) -> str:
        return f"numerai {self.version}, {Files(path=str(self.folder)).version_label()}"

    def planned(self) -> Outline | None:
        """None. Raises NlabError where the files are not downloaded yet."""
        if not self._complete:
            raise NlabError(
                f"data.source: {', '.join(REQUIRED)} of {self.version} are not in {self.folder} yet, and a plan fetches "
                f"nothing; run `nlab data download --set data.version={self.version}` first"
            )
        return None

    @property
    def _complete(self) -> bool:
        return (self.folder / FEATURES).is_file() and self._tables is not None

    @property
    def _tables(self) -> tuple[str, str] | None:
        """The two table files of the same format in the folder; None where either is absent."""
        pairs = (layout.tables for layout in LAYOUTS)
        return next((pair for pair in pairs if all((self.folder / name).is_file() for name in pair)), None)

    def files(self, progress: Progress = no_progress) -> Tournament:
        if not self._complete:
            for name in self._published():
                if not (self.folder / name).is_file():
                    download(self._address(name), self.folder / name, progress)
        tournament = Files(path=str(self.folder)).files()
        return replace(tournament, notes=(GROWN,)) if self._has_grown() else tournament

    def _has_grown(self) -> bool:
        """Whether validation is larger on the server than here; asked once a day, False where the server does not answer.

        Where the folder takes no stamp, as one that may only be read, every run asks.
        """
        path = self.folder / (self._tables or REQUIRED[1:])[1]
        record, stamp = Path(f"{path}.meta.json"), self.folder / ".asked"
        times = [file.stat().st_mtime for file in (record, stamp) if file.is_file()]
        if not record.is_file():
            return False
        if time.time() - max(times) < A_DAY:
            return (
                stamp.is_file() and stamp.stat().st_mtime > record.stat().st_mtime and stamp.read_text(encoding="utf-8") == GROWN
            )
        try:
            remote = glimpse(self._address(path.name))
        except NlabError:
            remote = None
        grown = remote is not None and changed(path, remote)
        with suppress(OSError):
            write_whole(stamp, (GROWN if grown else "").encode())
        return grown

    def update(self, progress: Progress = no_progress) -> list[str]:
        """Downloads missing and changed files; returns the names of the new files. Raises NlabError where the server fails."""
        renewed = []
        for name in self._published():
            path, address = self.folder / name, self._address(name)
            if not path.is_file() or changed(path, remote_state(address)):
                download(address, path, progress)
                renewed.append(name)
        return renewed

    def live(self, progress: Progress = no_progress) -> LiveFiles:
        """The live files of the current round, downloaded into a folder of their own; those of earlier rounds are removed.

        Raises NlabError where the round or its files can't be had: files of an earlier round are never taken instead.
        """
        way_out = "rows of an earlier round are not used; put the round's live.parquet somewhere and name it with --data FILE"
        with self._asking(f"data.source: Numerai's API gave no answer; {way_out}"):
            client = _client()
            number = client.get_current_round(tournament=client.tournament_id)
            names: list[str] = client.list_datasets(number)
        table = next((name for name in LIVE_TABLES if f"{self.version}/{name}" in names), None)
        if number is None or table is None:
            which = "no current round" if number is None else f"no live rows of {self.version} in round {number}"
            raise NlabError(f"data.source: Numerai has {which}; {way_out}")
        folder = self.folder / f"{LIVE_FOLDER}{number}"
        download(self._address(table, number), folder / table, progress)
        if f"{self.version}/{LIVE_BENCHMARKS}" in names:
            with suppress(NlabError):  # predictions do without
                download(self._address(LIVE_BENCHMARKS, number), folder / LIVE_BENCHMARKS, progress)
        for older in self.folder.glob(f"{LIVE_FOLDER}[0-9]*"):
            if older != folder:
                shutil.rmtree(older, ignore_errors=True)
        return LiveFiles.beside(folder / table, number)

    def _published(self) -> list[str]:
        """Names of this version's files to use, required ones first."""
        with self._asking():
            names: list[str] = _client().list_datasets()
        versions = sorted({name.split("/")[0] for name in names if "/" in name})
        if self.version not in versions:
            raise NlabError(f"data.version: Numerai has no {self.version!r}; {nearest(self.version, versions)}")
        there = {name.removeprefix(f"{self.version}/") for name in names if name.startswith(f"{self.version}/")}
        tables = next((layout.tables for layout in LAYOUTS if there.issuperset(layout.tables)), None)
        if tables is None:
            raise NlabError(f"data.version: the reader knows none of the tables of {self.version}; take a newer version")
        return [name for name in (FEATURES, *tables, *EXTRAS) if name in there]

    def _address(self, name: str, number: int | None = None) -> str:
        """Where a file lies. number: of its round; None for the current one."""
        client = _client()
        variables = {"filename": f"{self.version}/{name}", "round": number, "tournament": client.tournament_id}
        with self._asking():
            return str(client.raw_query(ADDRESS, variables)["data"]["dataset"])

    @contextmanager
    def _asking(self, message: str = "") -> Iterator[None]:
        """Turns failures of numerapi, which it raises or only logs, into one NlabError. message: another text of it."""
        try:
            yield
        except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
            raise NlabError(
                message
                or f"data.source: Numerai's API gave no answer; put {', '.join(REQUIRED)} into {self.folder} by hand, "
                "or use --set data.source=synthetic"
            ) from error


def _client() -> Any:
    from numerapi import NumerAPI

    return NumerAPI(verbosity="critical")
