"""`nlab audit`: does a config score where nothing can be known? The same run on data that was broken on purpose."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from numerai_lab.basics import Array, Float64, rng_for
from numerai_lab.config import Config, Variant
from numerai_lab.crossfit import parts_of
from numerai_lab.data.reader import Loaded
from numerai_lab.experiment import out_of_fold
from numerai_lab.folds import make_folds
from numerai_lab.holdout import load_sealed
from numerai_lab.metrics.era import numerai_corr
from numerai_lab.metrics.scoring import Predictions
from numerai_lab.panel import Panel
from numerai_lab.setting import Setting, Show
from numerai_lab.splits import Splits
from numerai_lab.stages import Fitted, fitted_augmenter, rows_stream
from numerai_lab.store import scratch
from numerai_lab.studies.broken import exchanged_targets, permuted_targets, replaced_features, without_block
from numerai_lab.variants import fit_generators, settled, train_and_predict

FALSE_ALARM = 0.001
"""Chance that an honest config fails any of its collapse checks."""
TOO_GOOD = 0.5
"""A feature that correlates with the target this much in an era is the target."""
BEYOND = 3.0
"""A generated column may correlate with the target up to this many times as much as the best raw feature."""


@dataclass(frozen=True)
class Check:
    """One question, what it was asked of, whether the answer is as it must be, and the numbers."""

    check: str
    subject: str
    passed: bool
    numbers: str


@dataclass(frozen=True)
class Audit:
    """All checks of a config, and the plain run's scores to set the others against."""

    config: Config
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)

    def rows(self) -> list[dict[str, str]]:
        """A row a check, failures first."""
        ordered = sorted(self.checks, key=lambda check: check.passed)
        return [
            {"verdict": "pass" if c.passed else "FAIL", "check": c.check, "subject": c.subject, "numbers": c.numbers}
            for c in ordered
        ]


@dataclass(frozen=True)
class Trial:
    """A run of the config on some panel: corr, variants × scored eras; digests of columns by generator, of rows by augmenter."""

    corr: Mapping[str, Float64]
    in_training: Mapping[str, str]
    everywhere: Mapping[str, str]
    rows: Mapping[str, str]
    column_corr: Mapping[str, Float64]


def audit(config: Config, show: Show) -> Audit:
    """Trains the config, with its first seed, on the data as it is and on three broken copies, and checks what must hold.

    Targets permuted within eras, targets exchanged between eras (rows keep their order), features of validation eras replaced
    by training ones: wherever a score survives, predictions know what they must not. Bands are those of Student's t over
    eras for a family-wise false alarm of FALSE_ALARM. With `cv`, one fold must predict the same bytes whatever stands in its
    block and beside it.
    """
    config = config.model_copy(update={"seeds": config.seeds[:1]})
    with show.task("data") as tick:
        loaded, splits = load_sealed(config, tick)
    panel = loaded.panel
    rng = rng_for(config.seeds[0], "audit")
    plain = _trial(config, panel, splits, show)
    permuted = _trial(config, permuted_targets(panel, rng), splits, show)
    exchanged = _trial(config, exchanged_targets(panel, splits, rng), splits, show)
    with scratch() as space:
        replaced = _trial(config, replace(panel, features=replaced_features(panel, splits, space, rng)), splits, show)
    with _setting(config, permuted_targets(panel, rng, splits.validation), splits, show) as setting:
        hidden = _digests(panel, (*splits.train, *splits.validation), fit_generators(setting)), _rows(setting)
    collapses = {
        "collapses when targets are permuted within eras": permuted,
        "collapses when eras exchange their targets": exchanged,
        "collapses when validation features are replaced by training ones": replaced,
    }
    return Audit(
        config,
        (
            *_data_checks(loaded, splits),
            *(check for name, trial in collapses.items() for check in _collapsed(name, trial, plain, 3 * len(plain.corr))),
            *_scope_checks(config, plain, hidden[0], replaced),
            *_rows_checks(plain, hidden[1], replaced),
            *_fold_checks(config, loaded, splits, show, rng),
            *_label_checks(config, panel, splits, show, rng),
            *_column_checks(config, plain, _best_raw(panel, splits)),
        ),
    )


@contextmanager
def _setting(config: Config, panel: Panel, splits: Splits, show: Show) -> Iterator[Setting]:
    """A run of which nothing stays."""
    with scratch() as space:
        yield Setting(config, panel, splits, space, show, lambda name, content: None)


def _trial(config: Config, panel: Panel, splits: Splits, show: Show) -> Trial:
    with _setting(config, panel, splits, show) as setting:
        fitted = fit_generators(setting)
        predictions = train_and_predict(setting, fitted)
        return Trial(
            corr=_corr_by_variant(panel, splits, predictions),
            in_training=_digests(panel, splits.train, fitted),
            everywhere=_digests(panel, (*splits.train, *splits.validation), fitted),
            rows=_rows(setting),
            column_corr={name: _mean_corr(panel, splits, fit.columns) for (name, _), fit in fitted.items()},
        )


def _generated(config: Config, panel: Panel, splits: Splits, show: Show, eras: tuple[int, ...]) -> dict[str, str]:
    """Digests of the generated columns of some eras, by generator."""
    with _setting(config, panel, splits, show) as setting:
        return _digests(panel, eras, fit_generators(setting))


def _rows(setting: Setting) -> dict[str, str]:
    """Digests of the rows that the augmenters of the variants make, by augmenter."""
    out, seed = {}, setting.config.seeds[0]
    for name in dict.fromkeys(name for variant in setting.config.variants.values() for name in variant.augment):
        stream = rows_stream(setting, {name: fitted_augmenter(setting, name, seed)}, seed)
        digest = hashlib.sha256()
        for made in map(stream.rows_of, stream.origins_of(name)):
            assert made.target is not None
            digest.update(made.features.tobytes() + made.target.tobytes())
            stream.panel.release()
        out[name] = digest.hexdigest()
    return out


def _corr_by_variant(panel: Panel, splits: Splits, predictions: Predictions) -> dict[str, Float64]:
    scores = []
    for era in splits.scored:
        target, known = _known_target(panel, era)
        scores.append(numerai_corr(predictions.at(panel, era)[known].astype(np.float64), target))
    by_variant = np.array(scores).T
    return {column.variant: by_variant[i] for i, column in enumerate(predictions.columns)}


def _known_target(panel: Panel, era: int) -> tuple[Float64, Array]:
    assert panel.target is not None
    target = panel.target[panel.rows(era)].astype(np.float64)
    known = np.isfinite(target)
    return target[known], known


def _digests(panel: Panel, eras: tuple[int, ...], fitted: Mapping[tuple[str, int], Fitted]) -> dict[str, str]:
    out = {}
    for (name, _), fit in fitted.items():
        digest = hashlib.sha256()
        for era in eras:
            digest.update(np.ascontiguousarray(fit.columns[panel.rows(era)]).tobytes())
        out[name] = digest.hexdigest()
    return out


def _mean_corr(panel: Panel, splits: Splits, columns: Array) -> Float64:
    """Mean over scored eras of each column's corr with the target."""
    scores = []
    for era in splits.scored:
        target, known = _known_target(panel, era)
        scores.append(np.nan_to_num(numerai_corr(columns[panel.rows(era)][known].astype(np.float64), target)))
    mean: Float64 = np.array(scores).mean(0)
    return mean


def _best_raw(panel: Panel, splits: Splits) -> tuple[str, float]:
    """The raw feature of the largest mean corr with the target over scored eras, and that corr."""
    corr = np.abs(_mean_corr(panel, splits, panel.features[:, : panel.n_raw]))
    return panel.raw_names[int(corr.argmax())], float(corr.max())


def _collapsed(name: str, trial: Trial, plain: Trial, n_checks: int) -> Iterator[Check]:
    from scipy.stats import t as student

    for variant, scores in trial.corr.items():
        known = scores[np.isfinite(scores)]
        if len(known) < 2 or known.std() == 0:
            yield Check(name, variant, True, "no score left: constant predictions")
            continue
        band = float(student.isf(FALSE_ALARM / n_checks / 2, len(known) - 1)) * known.std(ddof=1) / np.sqrt(len(known))
        before = float(np.nanmean(plain.corr[variant]))
        numbers = f"corr {known.mean():+.4f}, must lie within ±{band:.4f}; {before:+.4f} on the data as it is"
        numbers += "" if abs(before) > band else ", which this many rows can't tell from 0 either"
        yield Check(name, variant, bool(abs(known.mean()) <= band), numbers)


def _data_checks(loaded: Loaded, splits: Splits) -> Iterator[Check]:
    panel = loaded.panel
    horizon = f"{loaded.horizon_days} days" if loaded.horizon_days else "unknown: the embargo is what the config says"
    yield Check("horizon is known", loaded.target, loaded.horizon_days is not None, horizon)
    embargo = f"{splits.embargo_eras} eras, the horizon asks for {splits.required_eras}"
    yield Check("embargo covers the horizon", "splits", not splits.leak, embargo)
    seen = panel.only(splits.train)
    train_ids = np.concatenate([panel.ids[first:last] for first, last in seen.bounds])
    later = panel.only(splits.validation)
    repeated = int(np.isin(np.concatenate([panel.ids[first:last] for first, last in later.bounds]), train_ids).sum())
    yield Check("no id of training stands in validation", "data", not repeated, f"{repeated} ids")
    corr = np.abs(_mean_corr(panel, splits, panel.features[:, : panel.n_raw]))
    odd = [name for name, value in zip(panel.raw_names, corr, strict=True) if "target" in name or value > TOO_GOOD]
    numbers = f"{', '.join(odd[:3]) or 'none'} of {panel.n_raw}; largest corr {corr.max():.4f}"
    yield Check("no target among the features", "data", not odd, numbers)


def _scope_checks(config: Config, plain: Trial, hidden: Mapping[str, str], replaced: Trial) -> Iterator[Check]:
    for name in plain.everywhere:
        same = plain.everywhere[name] == hidden[name]
        yield Check("columns do not change with validation targets", name, same, "equal bytes" if same else "other bytes")
        if config.generators[name].fit_on == "all":
            yield Check("columns of training eras and validation features", name, True, "fit_on: all, transductive by choice")
            continue
        same = plain.in_training[name] == replaced.in_training[name]
        said = "equal bytes" if same else "other bytes, though fit_on is train"
        yield Check("columns of training eras do not change with validation features", name, same, said)


def _rows_checks(plain: Trial, hidden: Mapping[str, str], replaced: Trial) -> Iterator[Check]:
    for what, others in (("targets", hidden), ("features", replaced.rows)):
        for name, digest in plain.rows.items():
            same = digest == others[name]
            check = f"made rows do not change with validation {what}"
            yield Check(check, name, same, "equal bytes" if same else "other bytes")


def _fold_checks(config: Config, loaded: Loaded, splits: Splits, show: Show, rng: np.random.Generator) -> Iterator[Check]:
    """Of the cross-validation fold that learns from most eras: its block, and what lies within the embargo of it, is broken."""
    if config.cv is None:
        return
    panel = loaded.panel
    folds = make_folds(config.cv, splits.train, panel.reach_days)
    fold = max(folds, key=lambda each: len(each.train))
    embargo = f"{fold.embargo_eras} eras, the horizon asks for {fold.required_eras}"
    yield Check("embargo covers the horizon", "cv", not fold.leak, embargo)
    final, expanding = settled(config, panel, splits), config.cv.scheme == "expanding"
    with scratch() as space:
        broken, n_eras = without_block(panel, fold, later=expanding, space=space, rng=rng)
        found = []
        for each in (panel, broken):
            with _setting(final, each, splits, show) as setting:
                found.append(out_of_fold(setting, fold))
    for i, column in enumerate(found[0].columns):
        same = found[0].values[:, i].tobytes() == found[1].values[:, i].tobytes()
        numbers = f"fold {fold.number} of {len(folds)}, {n_eras} eras broken: {'equal' if same else 'other'} bytes"
        yield Check("predictions of a fold do not change with what it must not see", column.variant, same, numbers)


def _label_checks(config: Config, panel: Panel, splits: Splits, show: Show, rng: np.random.Generator) -> Iterator[Check]:
    """Of each generator that uses labels: targets of training eras that its fit for some rows must not see are permuted."""
    for name, generator in config.generators.items():
        if not generator.uses_labels:
            continue
        part = parts_of(generator, splits, f"generators.{name}")[0]
        unseen = tuple(era for era in splits.train if era not in part.fitted_on)
        only = config.model_copy(update={"generators": {name: generator}, "variants": {"only": Variant(features=[name])}})
        before, after = (
            _generated(only, shown, splits, show, part.serves)[name] for shown in (panel, permuted_targets(panel, rng, unseen))
        )
        numbers = f"targets of {len(unseen)} training eras permuted, columns of {len(part.serves)} eras: "
        same = before == after
        check = "columns do not change with targets that their fit must not see"
        yield Check(check, name, same, numbers + ("equal bytes" if same else "other bytes"))


def _column_checks(config: Config, plain: Trial, best_raw: tuple[str, float]) -> Iterator[Check]:
    feature, raw = best_raw
    for name, corr in plain.column_corr.items():
        if config.generators[name].uses_labels:
            continue  # it may well know more than any one feature
        best = float(np.abs(corr).max())
        numbers = f"largest |corr| of a column {best:.4f}, of a raw feature {raw:.4f} ({feature}); at most {BEYOND:g} ×"
        yield Check("columns correlate with the target as features do", name, best <= max(BEYOND * raw, 0.02), numbers)
