"""`nlab audit`: does a config score where nothing can be known? The same run on data that was broken on purpose."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.arrays import Float64
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.fit_plan import FitPlan, folds_of
from numerai_lab.fitting.holdout import load_sealed
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.metrics.single_features import IMPLAUSIBLE_CORR, ColumnScores, raw_scores
from numerai_lab.studies.data_checks import FALSE_ALARM, Check, data_checks, overlap_of
from numerai_lab.studies.trials import AuditTrial, fold_digests, label_digests, run_trial

BEYOND = 3.0
"""A generated column may correlate with the target up to this many times as much as the best raw feature."""
LEAST_LOSS = 0.01
"""Corr that a variant may lose when rows are reordered."""
CANNOT_SEE = (
    "a noisy copy of the target: a feature that leaks corr .03 looks like a good feature",
    "survivorship: rows that were dropped before the targets were ranked leave no trace",
    "copies of validation rows whose features were changed in every group, or whose targets were",
    "a wrong horizon where ids do not say which rows are the same stock",
    "a model beside the data that was fitted on validation and reaches no implausible corr",
    "what somebody knew of validation when the features were designed, or when this config was chosen among others",
)
"""Leaks that no check of an audit finds."""


@dataclass(frozen=True)
class Audit:
    """All checks of a config. synthetic: the data was made up by this project."""

    config: Config
    checks: tuple[Check, ...]
    synthetic: bool

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


def audit(config: Config, display: ProgressDisplay) -> Audit:
    """Checks the data, then trains the config, with its first seed, on the data as it is and on broken copies.

    Targets permuted within eras, features of validation eras replaced by training ones: wherever a score survives,
    predictions know what they must not. Rows of validation eras in another order: no score may be lost. Validation targets
    permuted: no column and no made row may change. Bands are those of Student's t over eras; a config that leaks nothing
    fails any check with a chance of FALSE_ALARM. With `cv`, one fold must predict the same bytes whatever stands in its
    block and beside it. Each training runs in a process of its own, so that nothing is remembered from another.
    """
    config = config.model_copy(update={"seeds": config.seeds[:1]})
    with display.task("data") as progress:
        loaded, splits = load_sealed(config, progress)
    with display.task("features alone and in pairs"):
        checks = [*data_checks(loaded, splits)]
        raw = raw_scores(loaded.panel, splits.train, splits.scored, overlap_of(loaded.panel))
    plain, permuted, reordered, replaced, hidden = (
        run_trial(config, broken, display)
        for broken in (
            "as it is",
            "targets permuted",
            "rows reordered",
            "features replaced",
            "validation targets permuted",
        )
    )
    collapses = {
        "collapses when targets are permuted within eras": permuted,
        "collapses when validation features are replaced by training ones": replaced,
    }
    for name, trial in collapses.items():
        checks += _collapsed(name, trial, plain, 3 * len(plain.corr))
    checks += _true_checks(permuted)
    checks += _order_checks(plain, reordered, 3 * len(plain.corr))
    checks += _scope_checks(config, plain, hidden, replaced)
    checks += _rows_checks(plain, hidden, replaced)
    checks += _fold_checks(config, loaded, splits, display)
    checks += _label_checks(config, FitPlan.of(config, splits), display)
    checks += _column_checks(config, plain, raw, loaded.panel.raw_names)
    return Audit(config, tuple(checks), loaded.synthetic)


def _collapsed(name: str, trial: AuditTrial, plain: AuditTrial, n_checks: int) -> Iterator[Check]:
    for variant, scores in trial.corr.items():
        known = scores[np.isfinite(scores)]
        if len(known) < 2 or known.std() == 0:
            yield Check(name, variant, True, "no score left: constant predictions")
            continue
        band = _band(known, n_checks)
        before = float(np.nanmean(plain.corr[variant]))
        numbers = f"corr {known.mean():+.4f}, must lie within ±{band:.4f}; {before:+.4f} on the data as it is"
        numbers += "" if abs(before) > band else ", which this many rows can't tell from 0 either"
        yield Check(name, variant, bool(abs(known.mean()) <= band), numbers)


def _band(scores: Float64, n_checks: int) -> float:
    """How far from 0 the mean of eras' scores comes by chance."""
    from scipy.stats import t as student

    quantile = float(student.isf(FALSE_ALARM / 2 / n_checks / 2, len(scores) - 1))
    return quantile * float(scores.std(ddof=1) / np.sqrt(len(scores)))


def _true_checks(permuted: AuditTrial) -> Iterator[Check]:
    """What was trained on permuted targets can have the targets of the data as it is from elsewhere alone."""
    for variant, scores in permuted.true_corr.items():
        known = scores[np.isfinite(scores)]
        corr = float(known.mean()) if len(known) else 0.0
        noise = 4 * float(known.std(ddof=1)) / np.sqrt(len(known)) if len(known) > 1 else 0.0
        limit = max(IMPLAUSIBLE_CORR, noise)
        numbers = f"trained on permuted targets, corr {corr:+.4f} with the true ones, at most {limit:.4f}"
        yield Check("no target comes from elsewhere", variant, abs(corr) <= limit, numbers)


def _order_checks(plain: AuditTrial, reordered: AuditTrial, n_checks: int) -> Iterator[Check]:
    for variant, scores in plain.corr.items():
        loss = scores - reordered.corr[variant]
        loss = loss[np.isfinite(loss)]
        mean = float(loss.mean()) if len(loss) else 0.0
        limit = LEAST_LOSS + (_band(loss, n_checks) if len(loss) > 1 else 0.0)
        numbers = f"corr falls by {mean:+.4f} when rows of validation eras are reordered, at most {limit:.4f}"
        yield Check("does not score by the order of rows", variant, mean <= limit, numbers)


def _scope_checks(config: Config, plain: AuditTrial, hidden: AuditTrial, replaced: AuditTrial) -> Iterator[Check]:
    for name in plain.everywhere:
        same = plain.everywhere[name] == hidden.everywhere[name]
        yield Check("columns do not change with validation targets", name, same, "equal bytes" if same else "other bytes")
        if config.generators[name].fit_on == "all":
            yield Check("columns of training eras and validation features", name, True, "fit_on: all, transductive by choice")
            continue
        same = plain.in_training[name] == replaced.in_training[name]
        numbers = "equal bytes" if same else "other bytes, though fit_on is train"
        yield Check("columns of training eras do not change with validation features", name, same, numbers)


def _rows_checks(plain: AuditTrial, hidden: AuditTrial, replaced: AuditTrial) -> Iterator[Check]:
    for what, digests in (("targets", hidden.rows), ("features", replaced.rows)):
        for name, digest in plain.rows.items():
            same = digest == digests[name]
            check = f"made rows do not change with validation {what}"
            yield Check(check, name, same, "equal bytes" if same else "other bytes")
    for name, copies in plain.copies.items():
        numbers = copies.numbers.replace("a training row", "a made row")
        yield Check("no row of validation stands among made rows", name, not copies.copied, numbers)


def _fold_checks(config: Config, loaded: Loaded, splits: Splits, display: ProgressDisplay) -> Iterator[Check]:
    """Of the cross-validation fold that learns from most eras: its block, and what lies within the embargo of it, is broken."""
    if config.cv is None:
        return
    folds = folds_of(config, loaded.panel, splits)
    fold = max(folds, key=lambda candidate: len(candidate.train))
    embargo = f"{fold.distance} eras, the horizon asks for {fold.required_eras}"
    yield Check("embargo covers the horizon", "cv", not fold.leak, embargo)
    (before, _), (after, n_eras) = (fold_digests(config, fold, broken, display) for broken in (False, True))
    for variant, digest in before.items():
        same = digest == after[variant]
        numbers = f"fold {fold.number} of {len(folds)}, {n_eras} eras broken: {'equal' if same else 'other'} bytes"
        yield Check("predictions of a fold do not change with what it must not see", variant, same, numbers)


def _label_checks(config: Config, plan: FitPlan, display: ProgressDisplay) -> Iterator[Check]:
    """Of each generator that uses labels: targets of training eras that its fit for some rows must not see are permuted."""
    for name, generator in config.generators.items():
        if not generator.uses_labels:
            continue
        part = plan.generators[name][0]
        before, after = label_digests(config, name, display)
        n_unseen = len(set(plan.splits.train) - set(part.fitted_on))
        numbers = f"targets of {n_unseen} training eras permuted, columns of {len(part.serves)} eras: "
        same = before == after
        check = "columns do not change with targets that their fit must not see"
        yield Check(check, name, same, numbers + ("equal bytes" if same else "other bytes"))


def _column_checks(config: Config, plain: AuditTrial, raw: ColumnScores, names: tuple[str, ...]) -> Iterator[Check]:
    strongest = np.abs(raw.linear)
    feature, best_raw = names[int(strongest.argmax())], float(strongest.max())
    for name, corr in plain.column_corr.items():
        if config.generators[name].uses_labels:
            continue  # it may well know more than any one feature
        best = float(np.abs(corr).max())
        chance = ColumnScores(corr, corr, raw.noise, raw.n_eras).band(FALSE_ALARM / 2 / len(plain.column_corr))
        limit = max(BEYOND * best_raw, chance)
        numbers = f"largest |corr| of a column {best:.4f}, of a raw feature {best_raw:.4f} ({feature}); at most {limit:.4f}"
        yield Check("columns correlate with the target as features do", name, best <= limit, numbers)
