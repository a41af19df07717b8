"""Leaks planted in a market of stocks that are followed from week to week: a named check finds each, and honest ones pass."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from numerai_lab.core.arrays import Float32, Float64
from numerai_lab.core.panel import Panel
from numerai_lab.core.split_config import Embargo, EmbargoSpec, SplitsConfig
from numerai_lab.core.splits import EraTable, Splits, make_splits
from numerai_lab.data.files import Files
from numerai_lab.data.reader import Loaded, load
from numerai_lab.docs.pages import source
from numerai_lab.studies.data_checks import data_checks
from tests.studies.leak_table import IN_DATA, table
from tests.test_real_data import FOLDER, needs

N_ERAS, N_STOCKS = 100, 150
SHARES = (0.05, 0.25, 0.75, 0.95)
RNG = np.random.default_rng(7)


@dataclass(frozen=True)
class Market:
    """weekly: returns, weeks × stocks, beyond the last era too; features: eras × stocks × features, bins or on 0..1."""

    weekly: Float64
    features: np.ndarray
    weeks_ahead: int = 4

    def returns(self, ahead: int) -> Float64:
        """eras × stocks: of the `ahead` weeks after each era."""
        return np.array([self.weekly[era + 1 : era + 1 + ahead].sum(0) for era in range(len(self.features))])

    def targets(self, ahead: int | None = None) -> Float32:
        """eras × stocks in bins of 5, 20, 50, 20 and 5 %."""
        return binned(self.returns(ahead or self.weeks_ahead))

    def panel(self, **changes: object) -> Panel:
        n_eras, n_stocks, p = self.features.shape
        starts = np.arange(n_eras) * n_stocks
        panel = Panel(
            feature_names=tuple(f"feature_{i}" for i in range(p)),
            features=self.features.reshape(-1, p),
            n_raw=p,
            top=4.0 if self.features.dtype == np.int8 else 1.0,
            ids=np.array([f"n{RNG.integers(16**12):012x}" for _ in range(n_eras * n_stocks)], np.bytes_),
            eras=np.arange(1, n_eras + 1, dtype=np.int32),
            bounds=np.column_stack([starts, starts + n_stocks]),
            data_types=("",) * n_eras,
            target=self.targets().ravel(),
            feature_sets={"all": np.arange(p)},
            horizon_days=5 * self.weeks_ahead,
        )
        return replace(panel, **changes)  # type: ignore[arg-type]


def binned(values: Float64) -> Float32:
    """Each row of values in bins of 5, 20, 50, 20 and 5 % at 0, .25 … 1."""
    ranks = (np.argsort(np.argsort(values, axis=1), axis=1) + 0.5) / values.shape[1]
    return (np.searchsorted(SHARES, ranks) / 4).astype(np.float32)


def market(
    seed: int = 0,
    n_eras: int = N_ERAS,
    n_stocks: int = N_STOCKS,
    n_features: int = 16,
    persistence: float = 0.9,
    weeks_ahead: int = 4,
    continuous: bool = False,
    signal: float = 0.05,
) -> Market:
    """Features follow stocks with this weekly autocorrelation, and the first one tells a little of the returns."""
    rng = np.random.default_rng(seed)
    n_weeks = n_eras + 16
    state = rng.normal(size=(n_stocks, n_features))
    weekly, features = [], []
    for _ in range(n_weeks):
        state = persistence * state + np.sqrt(1 - persistence**2) * rng.normal(size=state.shape)
        ranks = (np.argsort(np.argsort(state, axis=0), axis=0) + 0.5) / n_stocks
        features.append(ranks.astype(np.float32) if continuous else (ranks * 5).astype(np.int8))
        weekly.append(signal * state[:, 0] + rng.normal(size=n_stocks))
    shifted = [weekly[0], *weekly[:-1]]  # what a week's features tell is the return of the next one
    return Market(np.array(shifted), np.array(features[:n_eras]), weeks_ahead)


def splits_of(panel: Panel, embargo: EmbargoSpec = "auto") -> Splits:
    assert panel.target is not None
    table = EraTable.of(panel.eras, panel.bounds, panel.data_types, panel.target)
    return make_splits(SplitsConfig(train="60%", embargo=embargo), table, panel.reach_days)


def failures(tiny: Loaded, panel: Panel, embargo: EmbargoSpec = "auto") -> set[str]:
    """Names of the checks that fail on this panel."""
    loaded = replace(tiny, panel=panel, target="target_20", horizon_days=panel.horizon_days)
    return {check.check for check in data_checks(loaded, splits_of(panel, embargo)) if not check.passed}


def with_feature(panel: Panel, values: np.ndarray) -> Panel:
    """The panel with another last feature, in bins."""
    features = panel.features.copy()
    features[:, -1] = values
    return replace(panel, features=features)


def target_bins(panel: Panel) -> np.ndarray:
    assert panel.target is not None
    return (panel.target * 4).astype(np.int8)


def around_the_middle() -> Panel:
    panel = market().panel()
    ranks = np.random.default_rng(1).permutation(len(panel.ids)) % 2 * 2 - 1
    assert panel.target is not None
    away = np.rint(np.abs(target_bins(panel) - 2))
    folded = replace(panel, target=(away / 2).astype(np.float32))
    return with_feature(folded, np.clip(2 + ranks * away, 0, 4).astype(np.int8))


def difference_of_two() -> Panel:
    panel = market().panel()
    first = np.random.default_rng(1).integers(0, 5, len(panel.ids)).astype(np.int8)
    features = panel.features.copy()
    features[:, 3], features[:, 9] = first, (first + target_bins(panel)) % 5
    return replace(panel, features=features)


def own_row_encoding() -> Panel:
    """Mean target of a row's category in its era, its own target among them: eight rows a category."""
    panel = market().panel()
    assert panel.target is not None
    target = panel.target.reshape(N_ERAS, N_STOCKS)
    category = np.array([np.random.default_rng(era).permutation(N_STOCKS) // 8 for era in range(N_ERAS)])
    means = np.array([np.bincount(c, t)[c] / np.bincount(c)[c] for c, t in zip(category, target, strict=True)])
    return with_feature(panel, (binned(means) * 4).astype(np.int8).ravel())


def old_target() -> Panel:
    made = market()
    late = np.vstack([np.zeros((3, N_STOCKS), np.float32), made.targets()[:-3]])
    return with_feature(made.panel(), (late * 4).astype(np.int8).ravel())


def other_horizon() -> Panel:
    made = market()
    return with_feature(made.panel(), (made.targets(12) * 4).astype(np.int8).ravel())


def copied_rows() -> Panel:
    """Two fifths of the rows of validation in the place of training rows, under these rows' ids."""
    panel = market().panel()
    splits, rng = splits_of(panel), np.random.default_rng(1)
    rows = np.concatenate([np.arange(len(panel.ids))[panel.rows(era)] for era in splits.scored])
    copied = rng.permutation(rows)[: len(rows) * 2 // 5]
    places = rng.permutation(panel.rows(splits.train[-1]).stop)[: len(copied)]
    return taken(panel, copied, places)


def copied_eras() -> Panel:
    panel = market().panel()
    splits = splits_of(panel)
    pairs = list(zip(splits.scored[::4], splits.train, strict=False))
    rows = np.arange(len(panel.ids))
    return taken(panel, *(np.concatenate([rows[panel.rows(pair[i])] for pair in pairs]) for i in (0, 1)))


def taken(panel: Panel, copied: np.ndarray, places: np.ndarray) -> Panel:
    whose = np.arange(len(panel.ids))
    whose[places] = copied
    assert panel.target is not None
    return replace(panel, features=panel.features[whose], target=panel.target[whose])


def fitted_model(name: str) -> Panel:
    """A model that knows a third of the targets of validation."""
    panel = market().panel()
    assert panel.target is not None
    noise = np.random.default_rng(1).normal(size=len(panel.ids))
    known = np.arange(len(panel.ids)) >= panel.rows(splits_of(panel).val1[0]).start
    return replace(panel, extras={name: (noise + known * panel.target * 1.5).astype(np.float32)})


def sorted_rows() -> Panel:
    """Ids were given after sorting by target."""
    panel = market().panel()
    assert panel.target is not None
    order = np.concatenate([panel.rows(era).start + np.argsort(panel.target[panel.rows(era)]) for era in panel.eras])
    return replace(panel, features=panel.features[order], target=panel.target[order])


def named(panel: Panel, pattern: str) -> Panel:
    """Ids that begin with the stock's ticker."""
    tickers = [f"T{i:04d}" for i in range(N_STOCKS)]
    ids = [pattern.format(ticker=ticker, era=era) for era in panel.eras for ticker in tickers]
    return replace(panel, ids=np.array(ids, np.bytes_))


def short_horizon() -> Panel:
    """A 60-day target that is said to look 20 days ahead."""
    return named(replace(market(weeks_ahead=12).panel(), horizon_days=20), "{ticker}_{era:04d}")


def missing_losers() -> Panel:
    """Half of the worst rows of validation are gone."""
    panel = market().panel()
    assert panel.target is not None
    rng, start = np.random.default_rng(1), panel.rows(splits_of(panel).val1[0]).start
    gone = (panel.target <= 0.25) & (np.arange(len(panel.ids)) >= start) & (rng.uniform(size=len(panel.ids)) < 0.5)
    counts = [int((~gone[panel.rows(era)]).sum()) for era in panel.eras.tolist()]
    ends = np.cumsum(counts)
    bounds = np.column_stack([ends - counts, ends])
    return replace(panel, features=panel.features[~gone], target=panel.target[~gone], ids=panel.ids[~gone], bounds=bounds)


def repeated_ids() -> Panel:
    panel = market().panel()
    ids = panel.ids.copy()
    ids[panel.rows(90)] = ids[panel.rows(3)]
    return replace(panel, ids=ids)


PLANTED: dict[str, Callable[[], Panel]] = {
    "the target itself": lambda: with_feature(market().panel(), target_bins(market().panel())),
    "a feature whose distance from the middle bin is the target": around_the_middle,
    "two features whose difference modulo 5 is the target": difference_of_two,
    "a mean target by category that counts the row's own": own_row_encoding,
    "a target of three weeks ago that overlaps with today's": old_target,
    "a target of another horizon, under any name": other_horizon,
    "two fifths of validation rows in training under other ids": copied_rows,
    "training eras that are copies of validation eras": copied_eras,
    "ids of training that come again in validation": repeated_ids,
    "a meta model fitted on validation": lambda: fitted_model("numerai_meta_model"),
    "a benchmark model fitted on validation": lambda: fitted_model("benchmark"),
    "ids given in the order of targets": sorted_rows,
    "a horizon longer than said, where ids name stocks": short_horizon,
    "rows missing by their target": missing_losers,
    "a lowered embargo": lambda: market().panel(),
}


@pytest.mark.parametrize("leak", IN_DATA)
def test_a_leak_in_the_data_is_found_by_its_check_and_no_other(tiny: Loaded, leak: str) -> None:
    embargo = Embargo(eras=3, allow_leak=True) if leak == "a lowered embargo" else "auto"
    assert failures(tiny, PLANTED[leak](), embargo) == {IN_DATA[leak]}


HONEST: dict[str, Callable[[], Panel]] = {
    "plain": lambda: market(1).panel(),
    "another seed": lambda: market(2).panel(),
    "persistence .99": lambda: market(3, persistence=0.99).panel(),
    "persistence .99, two features": lambda: market(4, persistence=0.99, n_features=2).panel(),
    "ids begin with the ticker": lambda: named(market(5, persistence=0.99).panel(), "{ticker}_2020{era:04d}"),
    "ids are tickers": lambda: named(market(6).panel(), "{ticker}"),
    "three features": lambda: market(7, n_features=3).panel(),
    "200 features": lambda: market(8, n_features=200).panel(),
    "continuous": lambda: market(9, continuous=True).panel(),
    "60 days": lambda: named(market(10, weeks_ahead=12, persistence=0.98).panel(), "{ticker}_{era:04d}"),
    "20 rows an era": lambda: market(11, n_stocks=20, persistence=0.99).panel(),
    "a strong signal": lambda: market(12, signal=0.12).panel(),
    "one feature": lambda: market(13, n_features=1).panel(),
    "a good benchmark": lambda: replace(
        market(14).panel(), extras={"model": market(14).features[:, :, 0].ravel() / np.float32(4)}
    ),
}


@pytest.mark.parametrize("kind", HONEST)
def test_honest_data_raises_no_alarm(tiny: Loaded, kind: str) -> None:
    assert failures(tiny, HONEST[kind]()) == set()


@needs
@pytest.mark.parametrize(
    ("name", "target", "days"),
    [
        ("csi500_weekly.parquet", "target_20", None),
        ("csi500_weekly.parquet", "target_5", 5),
        ("numerai_2018_binned.parquet", "target_ken", 20),
    ],
)
def test_real_rows_raise_no_alarm(tiny: Loaded, name: str, target: str, days: int | None) -> None:
    loaded = load(Files(path=str(FOLDER / name), target=target, horizon_days=days))
    assert failures(loaded, loaded.panel) == set()


def test_the_manual_says_which_check_finds_which_leak() -> None:
    assert table() in source("trust")
