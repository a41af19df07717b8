"""`nlab unseal`: scores a variant of a finished run on the holdout, once, and the share of its gain that remains."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from numerai_lab.config.schema import Config
from numerai_lab.core.errors import NlabError, NlabFailure, nearest
from numerai_lab.core.placebo_pairs import Placebos
from numerai_lab.core.splits import Splits
from numerai_lab.data.reader import Loaded, load
from numerai_lab.data.source import Source
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.fitting.holdout import splits_of_run
from numerai_lab.fitting.learned_targets import plan_for
from numerai_lab.fitting.notes import notes_of
from numerai_lab.fitting.prediction_table import column_names, prediction_table
from numerai_lab.fitting.restored import Restored
from numerai_lab.fitting.run_context import ProgressDisplay
from numerai_lab.fitting.scoring_terms import scoring_of
from numerai_lab.metrics.changes import KINDS
from numerai_lab.metrics.scoring import HOLDOUT, Predictions, covered, per_era, score_table
from numerai_lab.metrics.verdict import NOT_BEATEN
from numerai_lab.report.page import redrawn
from numerai_lab.report.tables import exported
from numerai_lab.report.verdicts import judged, outcome
from numerai_lab.runs.layout import HOLDOUT_LOOKS, HOLDOUT_SCORES, MANIFEST, PREDICTIONS
from numerai_lab.runs.ledger import Holdout, Ledger, Look, already_looked_at
from numerai_lab.runs.output_files import check_writable, replace_page
from numerai_lab.runs.reading import Run, RunFiles, damaged_run, read_run

if TYPE_CHECKING:
    import polars as pl

VALIDATION = "val"
"""Name of the split of val1 and val2 together."""


class HoldoutSplits(Splits):
    """Splits whose scored eras are the holdout, stored as `val1`."""

    def name_of(self, era: int) -> str:
        return HOLDOUT


@dataclass(frozen=True)
class HoldoutScores:
    """The result of a look at the holdout.

    scores: rows of the variant, the reference and the variant's placebos on validation and on the holdout; lines: the result
    in sentences; remarks: further notes for the user.
    """

    run: Run
    look: Look
    scores: "pl.DataFrame"
    lines: tuple[str, ...]
    remarks: tuple[str, ...]


def unseal(
    path: Path, variant: str, display: ProgressDisplay, *, again: bool = False, runs_dir: Path | None = None
) -> HoldoutScores:
    """Scores a variant, its placebos and the reference of a finished run on its holdout. Records the look before scoring.

    runs_dir: the folder whose ledger counts looks; by default that of the run. Raises NlabError for a run without a holdout,
    an unknown variant, a holdout that was looked at before (unless `again`), data that changed, no era of the holdout with
    enough rows, and saved models that do not predict the run's predictions byte by byte. None of these counts as a look.
    """
    run = read_run(path)
    config = run.config
    look = _asked(run, config, variant)
    ledger = Ledger(runs_dir or path.absolute().parent)
    for file in (ledger.path, path / MANIFEST):
        check_writable(file)
    _earlier_looks(run)
    if (earlier := ledger.before(look.holdout)) and not again:
        raise already_looked_at(earlier)
    with display.task("data") as progress:
        loaded = load(config.data, config.extra_sets, progress)
    splits = _splits(run, config, loaded)
    restored = Restored(run, config, FitPlan.of(config, splits).shared_models, _names(run, look))
    _check_same(run, loaded, splits, restored.predictions(loaded.panel, splits.validation, display))
    predictions = restored.predictions(loaded.panel, splits.holdout, display)
    remarks = covered(loaded.panel, predictions, _held_out(splits), scoring_of(config, loaded)).lines()
    remarks += ["the data files are not those of the run: eras were added since"] * (loaded.identity != look.holdout.data)

    look = ledger.open(look, again=again)
    scores = _beside_validation(run, _scores(restored, splits, variant, loaded, predictions, display))
    result = _result(scores, variant)
    look = ledger.close(look, result)
    stamped = _stamped(scores, look)
    with ledger.owned():
        run = _written(path, stamped, look)
    return HoldoutScores(run, look, stamped, _lines(run, scores, look), tuple(remarks))


def _asked(run: Run, config: Config, variant: str) -> Look:
    manifest = run.manifest
    eras = tuple(manifest["splits"].get("holdout", ()))
    reference = manifest["scoring"]["reference"]
    if not eras:
        raise NlabError(f"{run.path}: this run has no holdout; one is set before a run, with splits.holdout in its config")
    if variant not in config.variants:
        raise NlabError(f"--variant: the run has no variant {variant!r}; {nearest(variant, config.variants)}")
    if variant == reference:
        raise NlabError(f"--variant: {variant} is the reference, which the gain of other variants is measured against")
    data, source = manifest["data"], {k: v for k, v in config.data.model_dump().items() if k not in Source.model_fields}
    holdout = Holdout(data["identity"], json.dumps(source, sort_keys=True), data["resolved_target"], eras)
    return Look(holdout, run.name, variant, reference, tuple(manifest["seeds"]))


def _names(run: Run, look: Look) -> tuple[str, ...]:
    """The reference, the variant and its placebos, each once. Raises NlabError where the run lacks one."""
    names = (look.reference, look.variant, *(pairs[look.variant] for pairs in _placebos(run, look.variant).values()))
    for name in names:
        if name not in run.config.variants:
            raise damaged_run(run.path, f"{name!r} in its manifest is none of its variants")
    return tuple(dict.fromkeys(names))


def _placebos(run: RunFiles, variant: str) -> dict[str, dict[str, str]]:
    """Kind → the variant → its placebo in the run; kinds without one are left out."""
    pairs_of = Placebos.of_manifest(run.manifest).as_dict()
    return {kind: {variant: pairs[variant]} for kind, pairs in pairs_of.items() if variant in pairs}


def _splits(run: Run, config: Config, loaded: Loaded) -> Splits:
    """The run's splits. Raises NlabError where the data lacks their eras or has other features."""
    splits = splits_of_run(run.manifest, config, loaded.panel)
    there = set(loaded.panel.eras.tolist())
    lost = [era for era in (*splits.validation, *splits.holdout) if era not in there]
    if lost or loaded.panel.n_raw != run.manifest["data"]["features"]:
        raise NlabError(
            f"{run.path}: the data is no longer that of the run ({f'no era {lost[0]}' if lost else 'other features'})"
        )
    return splits


def _check_same(run: Run, loaded: Loaded, splits: Splits, predictions: Predictions) -> None:
    """Raises NlabFailure unless validation ids, targets and predictions equal those in the run folder, byte by byte."""
    import polars as pl

    again = prediction_table(loaded.panel, splits, predictions)
    recorded = run.table(PREDICTIONS, again.columns)
    recorded = recorded.filter(pl.col("split").is_in(again["split"].unique().implode())).select(again.columns)
    if len(recorded) != len(again) or not recorded.select("id", "era", "target").equals(again.select("id", "era", "target")):
        raise NlabFailure(f"{run.path}: the validation rows or targets in the data are no longer those of the run")
    for name in column_names(predictions.columns):
        before, now = (np.ascontiguousarray(table[name].to_numpy()) for table in (recorded, again))
        if before.tobytes() != now.tobytes():
            raise NlabFailure(
                f"{run.path}: the saved models of {name} no longer predict what the run predicted on validation (off by up to "
                f"{np.abs(before - now).max():.2g}), so nothing was unsealed; use the machine and the package versions of "
                "the run (manifest.json), or run the config again"
            )


def _scores(
    restored: Restored, splits: Splits, variant: str, loaded: Loaded, predictions: Predictions, display: ProgressDisplay
) -> "pl.DataFrame":
    """Score table rows of the restored variants on the holdout, where the variant alone is judged."""
    import polars as pl

    config, names = restored.config, restored.names
    scoring = scoring_of(config, loaded)
    with display.task("score the holdout") as progress:
        scored = per_era(loaded.panel, predictions, _held_out(splits), scoring, progress).filter(pl.col("variant").is_in(names))
    notes, placebos = notes_of(plan_for(config, splits, loaded.panel), loaded.alias), _placebos(restored.run, variant)
    return score_table(scored, scoring, notes, placebos, compared={variant})


def _beside_validation(run: Run, holdout: "pl.DataFrame") -> "pl.DataFrame":
    """Score table rows of variants on `val`, from the run, above those on the holdout."""
    import polars as pl

    before = run.scores.filter(pl.col("variant").is_in(holdout["variant"].unique().implode()), pl.col("split") == VALIDATION)
    return pl.concat([before, holdout], how="diagonal_relaxed")


def _held_out(splits: Splits) -> HoldoutSplits:
    return HoldoutSplits(splits.train, (), splits.holdout, (), splits.embargo_eras, splits.required_eras)


def _result(scores: "pl.DataFrame", variant: str) -> dict[str, Any]:
    """The ledger's record of a look: changes of mean corr against reference and placebos; None for unknown numbers."""
    before, after = (_row(scores, variant, split) for split in (VALIDATION, HOLDOUT))
    numbers = {
        "delta_validation": before["delta_corr_mean"],
        "delta_holdout": after["delta_corr_mean"],
        "delta_holdout_low": after["delta_corr_mean_sim_low"],
        "delta_holdout_high": after["delta_corr_mean_sim_high"],
        "gain_retained": retained(before, after),
    }
    kinds = [kind for kind in KINDS if after.get(kind)]
    for kind in kinds:
        ends = {"": "", "_low": "_sim_low", "_high": "_sim_high"}
        numbers |= {f"delta_{kind}_holdout{end}": after[f"delta_{kind}_corr_mean{name}"] for end, name in ends.items()}
    known = {name: value if value is not None and math.isfinite(value) else None for name, value in numbers.items()}
    return {**known, **{kind: after[kind] for kind in kinds}}


def retained(before: Mapping[str, Any], after: Mapping[str, Any]) -> float:
    """Δ corr on the holdout over Δ corr on validation; NaN where validation showed no gain. before, after: score table rows.

    The gain is that over the reference, also where a placebo has it too.
    """
    if outcome(before) not in ("better", *NOT_BEATEN.values()) or after["delta_corr_mean"] is None:
        return math.nan
    return float(after["delta_corr_mean"]) / float(before["delta_corr_mean"])


def _row(scores: "pl.DataFrame", variant: str, split: str) -> dict[str, Any]:
    row: dict[str, Any] = scores.filter(variant=variant, split=split).row(0, named=True)
    return row


def _stamped(scores: "pl.DataFrame", look: Look) -> "pl.DataFrame":
    """The scores with the look's number and the gain retained in rows of the holdout."""
    import polars as pl

    held_out = pl.col("split") == HOLDOUT
    number = pl.when(held_out).then(pl.lit(look.number)).alias("look")
    share = pl.when(held_out & (pl.col("variant") == look.variant)).then(pl.lit(look.result["gain_retained"], pl.Float64))
    return scores.with_columns(number, share.alias("gain_retained"))


def _earlier_looks(run: Run) -> list[dict[str, Any]]:
    """Earlier looks through this run folder. Raises NlabError where their record is damaged."""
    if not (run.path / HOLDOUT_LOOKS).is_file():
        return []
    try:
        looks: list[dict[str, Any]] = json.loads(run.content(HOLDOUT_LOOKS))["looks"]
        if not all(isinstance(row, dict) for look in looks for row in look["scores"]):
            raise ValueError("its scores are no rows")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged_run(run.path, f"{HOLDOUT_LOOKS}: {error}") from error
    return looks


def _written(path: Path, stamped: "pl.DataFrame", look: Look) -> Run:
    """Writes holdout.csv and holdout.json with all looks so far, and marks the run's pages as unsealed; returns the run."""
    import polars as pl

    scores = json.loads(exported(stamped, "json"))
    looks = [*_earlier_looks(read_run(path)), {**look.facts(), "result": look.result, "scores": scores}]
    table = pl.DataFrame([row for entry in looks for row in entry["scores"]], infer_schema_length=None)
    replace_page(path, HOLDOUT_SCORES, f"{exported(table, 'csv')}\n")
    replace_page(path, HOLDOUT_LOOKS, json.dumps({"looks": looks}, indent=1, ensure_ascii=False), looks=len(looks))
    redrawn(read_run(path))
    return read_run(path)


def _lines(run: Run, scores: "pl.DataFrame", look: Look) -> tuple[str, ...]:
    """Verdict sentences: of validation from the run's table, of the holdout for this variant alone, and the gain retained."""
    before, after = judged(run.scores)[look.variant][1], judged(scores, HOLDOUT)[look.variant][1]
    result, share = look.result, look.result["gain_retained"]
    if share is not None:
        retained = (
            f"{share:.0%} ({result['delta_holdout']:+.4f} on the holdout of {result['delta_validation']:+.4f} on validation)"
        )
    elif result["delta_holdout"] is None:
        retained = "no number, since no era of the holdout has a score of both"
    else:
        retained = "no number, since validation did not show a gain that could be retained"
    return (f"on validation: {before}", f"on the holdout: {after}", f"gain retained: {retained}")


def stamp(look: Look) -> str:
    """Text to print beside the scores of a look: its number and the earlier looks."""
    if look.number == 1:
        return "look 1 at this holdout"
    return f"look {look.number} at this holdout, after {', '.join(look.before)}: it is no longer out of sample"
