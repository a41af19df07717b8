"""How realistic invented rows are: their statistics against held-out rows, beside those of real training rows."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.metrics.era import numerai_corr, pearson

N_TREES = 100
NEIGHBOUR_ROWS = 2000
"""Rows whose nearest neighbour is searched."""
MOST_VALUES = 8
"""A feature with more values than this is continuous, and cut into tenths of its range."""


@dataclass(frozen=True)
class RowSample:
    """Rows with targets, of whole eras or of equal parts of them. features: rows × p; target, era: rows."""

    features: Array
    target: Float32
    era: Array

    def __len__(self) -> int:
        return len(self.features)

    def eras(self) -> "list[RowSample]":
        """One sample an era."""
        return [self.take(self.era == era) for era in np.unique(self.era)]

    def take(self, rows: Array) -> "RowSample":
        """The sample of some of the rows."""
        return RowSample(self.features[rows], self.target[rows], self.era[rows])


@dataclass(frozen=True)
class Realism:
    """Statistics of an augmenter's rows. Ratios: 1 = as far from held-out eras as equally many training rows and eras.

    bins: largest and mean difference of a feature's bin proportions from the training rows' (half
    the sum of absolute differences). corr, target_corr: rms difference of correlations, between
    features and of features with the target, to held-out eras. auc: how well trees tell rows from
    held-out rows, eras apart; auc_real: training rows. memorised: median distance to the nearest
    training row over that of held-out rows. tstr: corr on held-out eras of trees that learned from
    these rows, trtr: from as many training rows. diversity: spread over eras of correlations with
    the target, beside that of training eras; NaN where the sample is too small to tell these from
    chance. proportions: features × bins.
    """

    rows: int
    eras: int
    bins_mean: float
    bins_max: float
    corr: float
    corr_floor: float
    target_corr: float
    target_corr_floor: float
    auc: float
    auc_real: float
    memorised: float
    tstr: float
    trtr: float
    diversity: float
    proportions: Float64 = field(repr=False)

    @property
    def corr_ratio(self) -> float:
        return self.corr / max(self.corr_floor, 1e-12)

    @property
    def target_corr_ratio(self) -> float:
        return self.target_corr / max(self.target_corr_floor, 1e-12)

    def row(self) -> dict[str, Any]:
        """Plain values by name, for a table."""
        names = [name for name in vars(self) if name != "proportions"]
        ratios = {"corr_ratio": self.corr_ratio, "target_corr_ratio": self.target_corr_ratio}
        return {name: getattr(self, name) for name in names} | ratios


def realism(train: RowSample, held: RowSample, generated: RowSample, seed: int) -> Realism:
    """Statistics of generated rows, and the same statistics of real ones.

    train, held: real rows of different eras, best in equal numbers.
    """
    rng = np.random.default_rng(seed)
    alike = _as_many(train, generated, rng)
    real, held_out, invented = (
        _correlations(sample) for sample in (alike, held, generated.take(_some(generated, len(alike), rng)))
    )
    shares, generated_shares = (_proportions(sample.features, train.features) for sample in (train, generated))
    difference = np.abs(shares - generated_shares).sum(1) / 2
    return Realism(
        rows=len(generated),
        eras=len(np.unique(generated.era)),
        bins_mean=float(difference.mean()),
        bins_max=float(difference.max()),
        corr=_rms(invented[0], held_out[0]),
        corr_floor=_rms(real[0], held_out[0]),
        target_corr=_rms(invented[1], held_out[1]),
        target_corr_floor=_rms(real[1], held_out[1]),
        auc=classifier_auc(generated, held, rng),
        auc_real=classifier_auc(train, held, rng),
        memorised=_nearest(generated, train, rng) / max(_nearest(held, train, rng), 1e-12),
        tstr=_learned(generated.take(_some(generated, len(train), rng)), held, rng),
        trtr=_learned(alike, held, rng),
        diversity=_diversity(generated, train),
        proportions=generated_shares,
    )


def classifier_auc(own: RowSample, other: RowSample, rng: np.random.Generator) -> float:
    """Area under the ROC curve of trees that separate two samples' rows, on eras that the trees did not learn from."""
    import lightgbm
    from sklearn.metrics import roc_auc_score

    n = min(len(own), len(other))
    parts = [sample.take(_some(sample, n, rng)) for sample in (own, other)]
    x = np.concatenate([np.column_stack([part.features, part.target]) for part in parts]).astype(np.float32)
    label = np.repeat([1, 0], n)
    first = np.concatenate([_half(part.era, rng) for part in parts])
    areas = []
    for learn in (first, ~first):
        data = lightgbm.Dataset(x[learn], label=label[learn], params=_settings("binary", rng))
        model = lightgbm.train(_settings("binary", rng), data, N_TREES)
        areas.append(roc_auc_score(label[~learn], model.predict(x[~learn], num_threads=1)))
    return float(np.mean(areas))


def _correlations(sample: RowSample) -> tuple[Float64, Float64]:
    """Correlations between features, each pair once, and with the target; 0 for what does not vary."""
    x = np.column_stack([sample.features, sample.target]).astype(np.float64)
    x -= x.mean(0)
    deviation = x.std(0)
    x *= np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-9)
    matrix = x.T @ x / len(x)
    return matrix[:-1, :-1][np.triu_indices(len(matrix) - 1, 1)], matrix[-1, :-1]


def _proportions(features: Array, like: Array) -> Float64:
    """Share of each value of `like`, or of each tenth of its range: features × values."""
    values = np.unique(like[:1000])
    if len(values) > MOST_VALUES:
        low, high = float(like.min()), float(like.max())
        features, values = np.floor((features - low) / (high - low) * 9.999), np.arange(10)
    shares: Float64 = np.stack([(features == value).mean(0) for value in values], axis=1)
    return shares


def _nearest(sample: RowSample, train: RowSample, rng: np.random.Generator) -> float:
    """Median distance of rows to the nearest training row."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(train.features.astype(np.float32))
    rows = sample.features[_some(sample, NEIGHBOUR_ROWS, rng)].astype(np.float32)
    return float(np.median(search.kneighbors(rows)[0]))


def _learned(learn: RowSample, held: RowSample, rng: np.random.Generator) -> float:
    """Mean corr over held-out eras of trees that learned from `learn`."""
    import lightgbm

    data = lightgbm.Dataset(learn.features.astype(np.float32), label=learn.target, params=_settings("regression", rng))
    model = lightgbm.train(_settings("regression", rng), data, N_TREES)
    predictions = np.asarray(model.predict(held.features.astype(np.float32), num_threads=1))
    rows_of_eras = [held.era == era for era in np.unique(held.era)]
    scores = [numerai_corr(predictions[rows, None], held.target[rows].astype(np.float64)) for rows in rows_of_eras]
    return float(np.nanmean(scores))


def _diversity(generated: RowSample, train: RowSample) -> float:
    n_eras = len(np.unique(train.era))
    if n_eras < 2 or len(np.unique(generated.era)) < 2:
        return float("nan")
    spread, of_chance = _variance(train)
    if spread < of_chance * np.sqrt(2 / (n_eras - 1)):
        return float("nan")
    return float(np.sqrt(max(_variance(generated)[0], 0) / spread))


def _variance(sample: RowSample) -> tuple[float, float]:
    """Variance over eras of features' correlations with the target, on average, beyond that of chance; and that of chance."""
    eras = [era for era in sample.eras() if len(era) > 2]
    related = np.array([np.nan_to_num(pearson(era.features.astype(np.float64), era.target.astype(np.float64))) for era in eras])
    of_chance = float(np.mean([1 / (len(era) - 1) for era in eras]))
    return float(related.var(0, ddof=1).mean()) - of_chance, of_chance


def _settings(objective: str, rng: np.random.Generator) -> dict[str, Any]:
    return {
        "objective": objective,
        "num_leaves": 31,
        "learning_rate": 0.1,
        "feature_fraction": 0.5,
        "max_bin": 15,
        "seed": int(rng.integers(2**31 - 1)),
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }


def _rms(values: Float64, other: Float64) -> float:
    return float(np.sqrt(((values - other) ** 2).mean()))


def _some(sample: RowSample, n: int, rng: np.random.Generator) -> Array:
    return np.sort(rng.permutation(len(sample))[:n])


def _half(era: Array, rng: np.random.Generator) -> Array:
    """Whether each row is in a random half of the eras; of a single era, in a random half of its rows."""
    eras = np.unique(era)
    if len(eras) == 1:
        return rng.permutation(len(era)) < len(era) / 2
    return np.isin(era, rng.permutation(eras)[: (len(eras) + 1) // 2])


def _as_many(train: RowSample, generated: RowSample, rng: np.random.Generator) -> RowSample:
    """Training rows of equal number, and of equally many eras, as the generated ones, or all.

    A smaller sample differs more from others by chance alone.
    """
    eras = np.unique(train.era)
    n_eras = min(len(eras), len(np.unique(generated.era)))
    chosen = train.take(np.isin(train.era, eras[np.linspace(0, len(eras) - 1, n_eras).astype(int)]))
    return chosen.take(_some(chosen, len(generated), rng))
