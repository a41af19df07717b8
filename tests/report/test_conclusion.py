"""The sentence on a run and the lines of its variants, on planted score tables."""

from typing import Any

import polars as pl
import pytest

from numerai_lab.metrics.verdict import verdict_beside, verdict_of
from numerai_lab.report.conclusion import conclusion
from numerai_lab.report.conclusion_text import conclusion_text, seconds_text
from numerai_lab.runs.variant_facts import VariantFacts

NAN = float("nan")
PLACEBOS = {"noise": VariantFacts("raw features and 12 columns of noise", "placebo", 3.0)}


def table(*rows: dict[str, Any], corr: float = 0.03, split: str = "val") -> pl.DataFrame:
    """A score table of a reference and these rows."""
    reference = {"variant": "baseline", "split": split, "n_eras": 60, "corr_mean": corr}
    return pl.DataFrame([reference, *({**row, "split": split} for row in rows)], infer_schema_length=None)


def row(name: str, low: float, high: float, placebo: tuple[float, float] | None = None, **more: Any) -> dict[str, Any]:
    """A row whose change lies in the middle of its interval; placebo: the interval of the change against one."""
    value = (low + high) / 2
    columns: dict[str, Any] = {
        "variant": name,
        "n_eras": 60,
        "corr_mean": 0.03 + value,
        "reference": "baseline",
        "delta_n_seeds": 3,
        "delta_corr_mean": value,
        "delta_corr_mean_sim_low": low,
        "delta_corr_mean_sim_high": high,
        "delta_corr_mean_p": 0.4,
        "delta_corr_mean_p_adjusted": 0.6,
        "delta_corr_mean_resolution": 0.0067,
    }
    beside = {}
    if placebo is not None:
        beside = {"placebo": (sum(placebo) / 2, *placebo)}
        names = zip(("", "_sim_low", "_sim_high"), beside["placebo"], strict=True)
        columns |= {"placebo": "noise", **{f"delta_placebo_corr_mean{end}": number for end, number in names}}
    verdict = verdict_beside(verdict_of(value, low, high), beside)
    return {**columns, "verdict": verdict, **more}


def few(name: str) -> dict[str, Any]:
    return row(name, NAN, NAN, delta_corr_mean=0.01, verdict="too few eras")


UNSURE = [row(name, -0.003, 0.002 + i / 1000) for i, name in enumerate("abcdef")]
CASES = {
    "none helps, and the larger half of the intervals excludes a gain": (
        UNSURE,
        "None of 6 methods is shown to help over these 60 eras; gains above .0050 corr are excluded for 4 of them.",
    ),
    "none helps, and no gain that matters is left for some": (
        [row("a", -0.001, 0.0013), row("b", -0.002, 0.0017), row("c", -0.01, 0.02)],
        "None of 3 methods is shown to help over these 60 eras; gains above .0017 corr are excluded for 2 of them.",
    ),
    "none helps, and the eras exclude nothing": (
        [row("a", -0.05, 0.04), row("b", -0.03, 0.05)],
        "None of 2 methods is shown to help over these 60 eras; even twice the corr of baseline (.0300) "
        "remains possible for all of them.",
    ),
    "one helps, beyond its placebo": (
        [row("umap", 0.001, 0.005, placebo=(0.0005, 0.004)), row("pca", -0.001, 0.0015)],
        "1 of 2 methods is shown to help over these 60 eras: umap (+.0030 [+.0010, +.0050]); gains above "
        ".0015 corr are excluded for "
        "1 of them.",
    ),
    "one helps, and has no placebo": (
        [row("umap", 0.001, 0.005)],
        "umap is shown to help over these 60 eras: corr +.0030 [+.0010, +.0050] against baseline, with no placebo beside it.",
    ),
    "it helps, but not beyond its placebo": (
        [row("umap", 0.001, 0.005, placebo=(-0.001, 0.002))],
        "umap is not shown to help over these 60 eras; umap beats baseline, but not its placebo.",
    ),
    "worse": (
        [row("a", -0.005, -0.001), row("b", -0.009, -0.001)],
        "None of 2 methods is shown to help over these 60 eras; a and b are worse than baseline.",
    ),
    "too few eras": ([few("a"), few("b")], "These 60 eras are too few to say whether any of 2 methods helps."),
    "too few eras for one": (
        [few("a"), row("b", -0.001, 0.0015)],
        "None of 2 methods is shown to help over these 60 eras; gains above .0015 corr are excluded for 1 of "
        "them; these eras and "
        "seeds are too few to judge a.",
    ),
    "the same scores": (
        [row("copy", 0.0, 0.0)],
        "copy is not shown to help over these 60 eras; copy scores the same as baseline.",
    ),
    "nothing to compare": ([], "No method was compared with baseline over these 60 eras: its corr is +.0300."),
    "a placebo that beats the reference": (
        [row("a", -0.001, 0.0015, placebo=(-0.004, 0.0)), row("noise", 0.001, 0.003)],
        "a is not shown to help over these 60 eras; gains above .0015 corr are excluded for it; the placebo "
        "noise beats baseline too.",
    ),
    "one seed": (
        [row("a", -0.001, 0.0015, delta_n_seeds=1)],
        "a is not shown to help over these 60 eras; gains above .0015 corr are excluded for it. One seed: "
        "all of this is of these "
        "trained models, not of the methods.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_sentence_says_what_was_found_and_what_is_excluded(case: str) -> None:
    rows, said = CASES[case]
    assert conclusion(table(*rows), PLACEBOS).sentence == said


def test_the_sentence_says_what_the_data_are_and_what_must_not_be_believed() -> None:
    scores = table(row("a", -0.001, 0.0015))
    assert conclusion(scores, {}, synthetic=True).sentence.startswith("SYNTHETIC data. a is not shown to help")
    assert conclusion(scores, {}, leak="LEAK: embargo 2 < 8").sentence.endswith("for it. LEAK: embargo 2 < 8.")


def test_a_run_that_val1_chose_is_judged_by_val2() -> None:
    before, after = row("a", 0.002, 0.004), row("a", -0.001, 0.0015, n_eras=30)
    scores = pl.concat([table(before), table(after, split="val2")], how="diagonal_relaxed")
    judged = conclusion(scores, {}, chosen=True)
    assert judged.sentence == (
        "a is not shown to help over the 30 eras of val2, which had no part in the choice of this run; gains "
        "above .0015 corr are "
        "excluded for it."
    )
    assert [line.verdict for line in judged.lines] == ["no gain above +.0015"]


def test_a_claim_of_the_sentence_follows_from_the_intervals_of_the_lines() -> None:
    lines = conclusion(table(*UNSURE), {}).lines
    assert sum(line.change.high <= 0.005 for line in lines) == 4
    assert all(line.change.low <= 0 for line in lines)


FACTS = {
    "baseline": VariantFacts("raw features, by ridge regression", "reference", 1.0),
    "umap": VariantFacts("raw features and 60 coordinates of a UMAP embedding", "method", 4321.0),
    **PLACEBOS,
}


def test_each_variant_has_a_line_with_words_changes_verdict_and_cost_at_80_columns() -> None:
    umap = row("umap", 0.001, 0.005, placebo=(-0.001, 0.002), notes="transductive")
    found = conclusion(table(umap, row("noise", -0.001, 0.0015)), FACTS, synthetic=True)
    text = conclusion_text(found, 80, ["some_run"])
    assert text[:2] == [
        "SYNTHETIC data. umap is not shown to help over these 60 eras; umap beats",
        "  baseline, but not its placebo.",
    ]
    assert text[3:] == [
        "some_run",
        "",
        "baseline (the reference): raw features, by ridge regression: corr +.0300",
        "",
        "  Δ to baseline            Δ to its placebo         verdict                 cost",
        "umap †: raw features and 60 coordinates of a UMAP embedding",
        "  +.0030 [+.0010, +.0050]  +.0005 [-.0010, +.0020]  placebo not beaten    72 min",
        "noise (placebo): raw features and 12 columns of noise",
        "  +.0003 [-.0010, +.0015]                           no gain above +.0015   3.0 s",
        "Δ: mean corr, paired by era; [ ]: 95 % intervals, all together; cost: all seeds",
        "† transductive",
        "these 60 eras tell differences of .0067 corr apart (80 % power, among 2",
        "  variants; 3 seeds)",
    ]


def test_a_wide_terminal_has_one_line_for_each_variant() -> None:
    found = conclusion(table(row("umap", -0.001, 0.0015, delta_corr_mean_p=0.01)), FACTS)
    text = conclusion_text(found, 150)
    (line,) = [line for line in text if line.startswith("umap:")]
    assert line.split("  ")[0] == "umap: raw features and 60 coordinates of a UMAP embedding"
    assert "no gain above +.0015" in line
    assert "(alone yes (p .010), among 1 no)" in text[text.index(line) + 1]


def test_no_line_is_wider_than_the_terminal_whatever_the_names_are() -> None:
    names = ["x" * 60, "a-name with words " * 5]
    rows = [row(name, 0.001, 0.005, placebo=(-0.001, 0.002), notes="a note of many words " * 9) for name in names]
    for width in (80, 120, 200):
        text = conclusion_text(conclusion(table(*rows), {}, synthetic=True), width, ["a heading of many words " * 9])
        assert max(map(len, text)) <= width


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, ""), (0.04, "0.0 s"), (9.94, "9.9 s"), (59.0, "59 s"), (3000.0, "50 min"), (90000.0, "25.0 h")]
)
def test_costs_are_in_units_that_people_plan_with(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text
