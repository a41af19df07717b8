"""Checks of an audit on the data alone, without any training."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from numerai_lab.core.arrays import Array, Float64
from numerai_lab.core.panel import Panel
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.metrics.era import numerai_corr, pearson
from numerai_lab.metrics.feature_pairs import pair_scores
from numerai_lab.metrics.single_features import ColumnScores, column_scores, known_target, raw_scores, thinned
from numerai_lab.studies.twins import twins

FALSE_ALARM = 0.001
"""Probability that a config without leaks fails any check: half of it for checks of data, half for those of training."""
N_STATISTICAL = 5
"""Number of checks of data that can fail by chance: features, pairs, order, other models, the target's horizon."""
EACH = FALSE_ALARM / 2 / N_STATISTICAL
POSITIONS = 10
JUMP = 0.05
"""Corr by which a model without leaks may be better on validation eras than on training eras."""
REPEATED = 0.5
"""Share of an era's ids that must come again in the next era for ids to name stocks."""
STILL_ALIKE = 0.1
"""Excess of a target's correlation with itself one horizon later over the one far later that is still allowed."""
PAIRS_OF_ERAS = 30
UNEVEN = 0.05
"""Change of a target value's share between training and validation that rows dropped at random don't cause."""

Stocks = Callable[[int], dict[bytes, int]]
"""Maps an era to its rows by stock name."""


@dataclass(frozen=True)
class Check:
    """The result of one check: its name, its subject, whether it passed, and the numbers."""

    check: str
    subject: str
    passed: bool
    numbers: str


def data_checks(loaded: Loaded, splits: Splits) -> Iterator[Check]:
    """Yields the checks of horizon, embargo, ids, features, pairs, row order, copies, other models and target shares."""
    panel = loaded.panel
    overlap = overlap_of(panel)
    horizon = f"{loaded.horizon_days} days" if loaded.horizon_days else "unknown: the embargo is what the config says"
    yield Check("horizon is known", loaded.target, loaded.horizon_days is not None, horizon)
    yield from _horizon_check(panel, loaded.target)
    embargo = f"{splits.distance} eras, the horizon asks for {splits.required_eras}"
    yield Check("embargo covers the horizon", "splits", not splits.leak, embargo)
    yield _ids_check(panel, splits)
    yield from _feature_checks(panel, splits, overlap)
    yield _order_check(panel, splits, overlap)
    copies = twins(panel, panel.only(splits.train).blocks(), splits.scored)
    yield Check("no row of validation stands in training", "data", not copies.copied, copies.numbers)
    yield from (_model_check(panel, splits, name, overlap) for name in panel.extras)
    yield _spread_check(panel, splits)


def overlap_of(panel: Panel) -> int:
    """Eras that the target with the longest horizon looks ahead, at least 1."""
    return max(1, -(-(panel.reach_days or 0) // panel.days_per_era))


def _ids_check(panel: Panel, splits: Splits) -> Check:
    check = "no id of training stands in validation"
    train, later = (_ids(panel, eras) for eras in (splits.train, splits.validation))
    known = np.unique(train)
    if len(known) < REPEATED * len(train):
        return Check(check, "data", True, "does not apply: ids name stocks and come again from era to era")
    repeated = int(np.isin(later, known).sum())
    return Check(check, "data", not repeated, f"{repeated} ids")


def _ids(panel: Panel, eras: tuple[int, ...]) -> Array:
    ids: Array = np.concatenate([panel.ids[panel.rows(era)] for era in eras])
    return ids


def _feature_checks(panel: Panel, splits: Splits, overlap: int) -> Iterator[Check]:
    scores = raw_scores(panel, splits.train, splits.scored, overlap)
    limit = scores.limit(EACH)
    odd = np.flatnonzero(scores.largest > limit)
    yield Check("no feature tells the target", "data", not len(odd), _strongest_features(panel, scores, limit))
    if panel.n_raw - len(odd) < 2:
        return
    pairs, together = pair_scores(panel, splits.train, splits.scored, overlap, odd.tolist())
    limit, best = together.limit(EACH), int(together.binned.argmax())
    names = " with ".join(panel.raw_names[i] for i in pairs[best])
    numbers = f"largest corr of a pair's cells {together.binned[best]:.4f} ({names}), at most {limit:.4f}"
    yield Check("no two features together tell the target", "data", bool(together.binned[best] <= limit), numbers)


def _strongest_features(panel: Panel, scores: ColumnScores, limit: float) -> str:
    order = np.argsort(-scores.largest, kind="stable")
    odd = [i for i in order.tolist() if scores.largest[i] > limit]
    named = ", ".join(f"{panel.raw_names[i]} {scores.largest[i]:.4f}" for i in odd[:3] or order[:1])
    first = f"{len(odd)} of {panel.n_raw}, such as" if odd else "largest"
    return f"corr of a feature or of its bins' mean targets: {first} {named}; at most {limit:.4f}"


def _order_check(panel: Panel, splits: Splits, overlap: int) -> Check:
    """Checks that the order of ids within an era does not predict the target."""

    def places(era: int) -> Array:
        rows = panel.rows(era)
        n = rows.stop - rows.start
        bins: Array = (np.arange(n) * POSITIONS // max(1, n)).astype(np.int8)[:, None]
        return bins

    scores = column_scores(panel, places, thinned(panel, splits.train), thinned(panel, splits.scored), overlap)
    limit, corr = scores.limit(EACH), float(scores.largest[0])
    numbers = f"corr of a row's place with the target {corr:.4f}, at most {limit:.4f}"
    return Check("the order of ids does not tell the target", "data", corr <= limit, numbers)


def _model_check(panel: Panel, splits: Splits, name: str, overlap: int) -> Check:
    """Checks a meta or benchmark model: no implausible corr, and no jump of corr from training to validation eras."""
    check = "a model beside the data was not fitted on validation"
    later, n_rows = _model_corr(panel, splits.scored, name)
    if not len(later):
        return Check(check, name, True, "has no scored era")
    before, n_before = _model_corr(panel, splits.train, name)
    mean = float(later.mean())
    scores = ColumnScores(np.array([mean]), np.zeros(1), float(np.sqrt(overlap / n_rows)), len(later))
    false_alarm = EACH / len(panel.extras)
    limit = scores.limit(false_alarm)
    numbers, passed = f"corr {mean:+.4f} over scored eras, at most {limit:.4f}", mean <= limit
    if len(before) >= 2 * overlap:
        jump = JUMP + scores.band(false_alarm) * float(np.sqrt(1 + n_rows / n_before))
        numbers += f"; {before.mean():+.4f} over training eras, may rise by {jump:.4f}"
        passed = passed and mean - float(before.mean()) <= jump
    return Check(check, name, passed, numbers)


def _model_corr(panel: Panel, eras: tuple[int, ...], name: str) -> tuple[Float64, int]:
    """Corr of each era that the model covers, and the number of rows they have in total."""
    scores, n_rows = [], 0
    for era in eras:
        known, target = known_target(panel, era)
        values = panel.extras[name][panel.rows(era)][known].astype(np.float64)
        there = np.isfinite(values)
        if there.sum() < 2 or np.ptp(target[there]) == 0 or np.ptp(values[there]) == 0:
            continue
        scores.append(float(numerai_corr(values[there, None], target[there])[0]))
        n_rows += int(there.sum())
    return np.array(scores), n_rows


def _horizon_check(panel: Panel, target: str) -> Iterator[Check]:
    """Checks that a stock's target correlates one horizon later no more with itself than far later."""
    check = "the target looks no further than its horizon"
    if panel.horizon_days is None:
        return
    stocks = _stocks(panel)
    horizon = -(-panel.horizon_days // panel.days_per_era)
    none = (np.nan, 0)
    after, far = (_with_itself(panel, stocks, lag) if stocks else none for lag in (horizon, 3 * horizon + 12))
    if not after[1] or not far[1]:
        yield Check(check, target, True, "not seen: ids do not say which rows are the same stock in other eras")
        return
    noise = 4 * float(np.sqrt(horizon * (1 / after[1] + 1 / far[1])))
    numbers = f"corr of a stock's target with itself {horizon} eras later {after[0]:+.3f}, far later {far[0]:+.3f}"
    yield Check(
        check, target, bool(after[0] - far[0] <= STILL_ALIKE + noise), f"{numbers}; may differ by {STILL_ALIKE + noise:.3f}"
    )


def _stocks(panel: Panel) -> Stocks | None:
    """A function that gives an era's rows by stock name (ids, or their part before a date); None where ids don't repeat."""
    for strip in (None, re.compile(rb"[^A-Za-z0-9][^A-Za-z]*$")):

        def stocks(era: int, strip: re.Pattern[bytes] | None = strip) -> dict[bytes, int]:
            rows = panel.rows(era)
            return {strip.sub(b"", name) if strip else name: rows.start + i for i, name in enumerate(panel.ids[rows].tolist())}

        named = [(stocks(first), stocks(second)) for first, second in _neighbours(panel)]
        if named and np.mean([len(a.keys() & b.keys()) / max(1, len(a)) for a, b in named]) >= REPEATED:
            return stocks
    return None


def _neighbours(panel: Panel) -> list[tuple[int, int]]:
    eras = panel.eras.tolist()
    pairs = list(itertools.pairwise(eras))
    return pairs[:: max(1, len(pairs) // PAIRS_OF_ERAS)]


def _with_itself(panel: Panel, stocks: Stocks, lag: int) -> tuple[float, int]:
    """Mean corr of a stock's target with itself `lag` eras later, over a sample of eras, and the number of rows behind it."""
    assert panel.target is not None
    eras = set(panel.eras.tolist())
    pairs = [(era, era + lag) for era in sorted(eras) if era + lag in eras]
    correlations, n_rows = [], 0
    for first, second in pairs[:: max(1, len(pairs) // PAIRS_OF_ERAS)]:
        rows, later = stocks(first), stocks(second)
        both = sorted(rows.keys() & later.keys())
        first_target = panel.target[[rows[name] for name in both]].astype(np.float64)
        second_target = panel.target[[later[name] for name in both]].astype(np.float64)
        known = np.isfinite(first_target) & np.isfinite(second_target)
        corr = pearson(first_target[known, None], second_target[known])[0] if known.sum() > 2 else np.nan
        if np.isfinite(corr):
            correlations.append(float(corr))
            n_rows += int(known.sum())
    return (float(np.mean(correlations)), n_rows) if correlations else (np.nan, 0)


def _spread_check(panel: Panel, splits: Splits) -> Check:
    """Checks that shares of target values are the same in validation as in training; a difference hints at missing rows."""
    check = "targets are spread in validation as in training"
    values = np.unique(np.concatenate([known_target(panel, era)[1] for era in splits.train[:: max(1, len(splits.train) // 20)]]))
    if len(values) > 10:
        return Check(check, "data", True, f"not seen: targets have {len(values)} values or more")
    train, later = (np.array([_shares(panel, era, values) for era in eras]) for eras in (splits.train, splits.scored))
    shift = float(np.abs(later.mean(0) - train.mean(0)).max())
    steady = float(train.std(0).max()) < UNEVEN / 2
    numbers = f"largest change of a target's share {shift:.1%}, may be {UNEVEN:.0%}" + ("" if steady else "; shares vary anyway")
    return Check(check, "data", shift <= UNEVEN or not steady, numbers)


def _shares(panel: Panel, era: int, values: Float64) -> Float64:
    _, target = known_target(panel, era)
    shares: Float64 = (target[:, None] == values).sum(0) / max(1, len(target))
    return shares
