"""New eras from a diffusion model of rows, conditioned on their era."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PrivateAttr

from numerai_lab.augmenters.bins import known_blocks
from numerai_lab.augmenters.latent import Latent, Pooled, fit_latent
from numerai_lab.augmenters.mixture import inertia_of
from numerai_lab.augmenters.path import walk
from numerai_lab.augmenters.proportions import Proportioned
from numerai_lab.core.arrays import Array, Float32, Float64
from numerai_lab.core.control import Control
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.progress import NO_CONTEXT, FitContext
from numerai_lab.neural.settings import HELD_OUT, SIGMA, Training

if TYPE_CHECKING:
    from numerai_lab.neural.diffusion import Denoiser

ROWS_A_PASS, GPU_ROWS_A_PASS = 4096, 16_384
"""Rows that are sampled at once: on a CPU those of one set, on a GPU those of several sets and eras."""


class Diffusion(Proportioned, Training):
    """New eras that a diffusion model makes from noise: rows and their targets.

    A row is its scores on factors behind the bins (or its features, if they are few) and its
    target. A network learns to remove noise from it, conditioned on the era's descriptor: principal
    components of the covariances of the era's scores and of their correlations with the target.
    Descriptors of new eras follow an AR(1). Heun's method turns noise into rows; features get the
    noise that the factors leave, and are ranked within the era to the proportions of the training
    rows, as is the target. `structure: set` models the rows of an era jointly. A GPU samples several
    eras at once, 16,384 rows at most; a CPU samples them one by one, so that the last bits of a row
    do not depend on others.

    Source: the idea of [richai, Numerai forum]; EDM, Karras et al. 2022 (arXiv:2206.00364), with
    its settings; guidance: Ho & Salimans 2022 (arXiv:2207.12598); sets: Lee et al. 2019
    (arXiv:1810.00825).
    """

    control: ClassVar[Control] = Control(
        why="no published theory says where rows of a fitted generative model add to the rows it was fitted on"
    )
    words: ClassVar[str] = "eras made by a diffusion model"
    kind: Literal["diffusion"] = "diffusion"
    invents_eras: ClassVar[bool] = True
    invents_rows: ClassVar[bool] = True
    expensive: ClassVar[bool] = True

    condition: Literal["none", "era", "descriptor"] = Field(
        "descriptor",
        description="what the network knows of the era: nothing, a vector learned for it (each new era takes one of them), "
        "or its descriptor (new eras continue its path)",
    )
    structure: Literal["rows", "set"] = Field(
        "rows", description="rows: each row is alone; set: attention between the rows that a batch has of an era"
    )
    factors: int = Field(32, gt=0, le=128, description="factors that stand for the features, at most a third of them")
    most_features: int = Field(40, gt=0, le=400, description="with more features than these, work on factor scores")
    n_components: int = Field(8, gt=0, le=64, description="values of a descriptor, or of an era's vector")
    inertia: float | None = Field(None, ge=0, lt=1, description="how much of the last era's descriptor stays; none = estimated")
    hidden: int = Field(256, ge=8, le=4096, description="width of the network, a multiple of 4")
    n_layers: int = Field(3, gt=0, le=16, description="residual layers")
    drop_condition: float = Field(0.1, ge=0, lt=1, description="share of rows (or sets) that get no condition in training")
    guidance: float = Field(1.0, ge=0, le=10, description="above 1 exaggerates the condition, 0 ignores it")
    n_steps: int = Field(18, gt=1, le=1000, description="steps from noise to a row")
    ema: float = Field(0.999, ge=0, lt=1, description="decay of the running mean of the weights, which is kept")
    max_steps: int = Field(
        4000, gt=0, le=10_000_000, description="steps at most; the learning rate falls to 0 along a cosine until there"
    )
    eras_per_batch: int = Field(
        16, gt=0, description="eras that a batch is drawn from, evenly; structure set: batch_size over this is the size of a set"
    )
    held_out_eras: Literal["last", "spread"] = Field(
        "spread", description="the tenth of the eras that is held out of training: the latest, or every tenth"
    )

    _network: Any = PrivateAttr(None)

    def refusal(self, panel: Panel) -> str:
        known = panel.only(panel.eras[panel.n_known > 1].tolist())
        if len(known.eras) < 3:
            return f"diffusion: at least 3 eras with targets to learn from are needed, got {len(known.eras)}"
        if not any(np.ptp(block.target) for block in known_blocks(known) if block.target is not None):
            return "diffusion: the target is constant within every era, and rows that follow it can't be learned"
        return self.no_training(known)

    def fitting_bytes(self, n_rows: int, n_columns: int) -> int:
        return self.network_bytes(n_rows, [self.hidden] * self._n_widths)

    def saved_bytes(self, n_columns: int) -> int:
        return 4 * self.hidden**2 * self._n_widths

    @property
    def _n_widths(self) -> int:
        """Matrices hidden × hidden: of each layer, with attention between rows twice as many, and of inputs and outputs."""
        return (4 if self.structure == "rows" else 8) * self.n_layers + 3

    def fit(self, panel: Panel, rng: np.random.Generator, context: FitContext = NO_CONTEXT) -> Self:
        """Learns proportions, latent columns and the denoiser. Raises NlabError for eras that `refusal` refuses."""
        if message := self.refusal(panel):
            raise NlabError(message)
        panel = panel.only(panel.eras[panel.n_known > 1].tolist())
        features, pooled = self._learn_proportions(panel, rng), Pooled.of(panel)
        scored = panel.n_raw > self.most_features
        k = min(self.factors, panel.n_raw // 3)
        latent = fit_latent(panel, pooled, features, k, rng) if scored else Latent.features(pooled)
        for name, values in latent.state().items():
            setattr(self, name, values)
        mean = float(self.target_values_ @ self.target_shares_)
        self.y_ = np.array([mean, SIGMA / np.sqrt((self.target_values_ - mean) ** 2 @ self.target_shares_)])
        conditions = self._conditions(panel, latent)
        self._learn(panel, latent, conditions, rng, context)
        self.path_seed_ = np.array(rng.integers(2**62))
        return self

    def walk(self, n: int, rng: np.random.Generator) -> Float64:
        """Descriptors of n consecutive new eras, n × components, from their stationary distribution on."""
        return walk(n, self.inertia_, self.sd_, rng)

    def invent(self, number: int, n_rows: int, rng: np.random.Generator) -> Block:
        return self.draw(self._place(number), n_rows, rng)

    @property
    def rows_a_pass(self) -> int:
        from numerai_lab.neural.networks import device_for

        return most_rows(device_for(self.device).type)

    def invent_together(self, numbers: Sequence[int], n_rows: Sequence[int], rngs: Sequence[np.random.Generator]) -> list[Block]:
        return self._drawn([self._place(number) for number in numbers], n_rows, rngs)

    def draw(self, place: Array, n_rows: int, rng: np.random.Generator) -> Block:
        """The rows of a new era. place: its descriptor, or the position of the training era whose vector it takes."""
        return self._drawn([place], [n_rows], [rng])[0]

    def _place(self, number: int) -> Array:
        """The `place` of a new era, as `draw` takes it."""
        path_rng = np.random.default_rng(int(self.path_seed_))
        if self.condition == "era":
            learned = self.learned_from_
            orders = [path_rng.permutation(learned) for _ in range(number // len(learned) + 1)]
            return np.asarray(orders[-1][number % len(learned)])
        place: Array = self.walk(number + 1, path_rng)[number]
        return place

    def _drawn(self, places: Sequence[Array], n_rows: Sequence[int], rngs: Sequence[np.random.Generator]) -> list[Block]:
        """The rows of new eras, sampled together."""
        rows = [self.conditions_[place] if self.condition == "era" else np.asarray(place, np.float32) for place in places]
        blocks = []
        for values, rng in zip(self._sampled([row.astype(np.float32) for row in rows], n_rows, rngs), rngs, strict=True):
            y = values[:, -1] - values[:, -1].mean()
            blocks.append(self._era_of(self.latent.values(values[:, :-1], y, rng), values[:, -1], rng))
        return blocks

    def _conditions(self, panel: Panel, latent: Latent) -> Float32:
        """The condition of every training era, eras × values.

        They are standardised descriptors, zeros to begin learned vectors with, or no values.
        """
        n = len(panel.eras)
        if self.condition != "descriptor":
            q = self.n_components if self.condition == "era" else 0
            self.inertia_, self.sd_ = np.zeros(q), np.zeros(q)
            return np.zeros((n, q), np.float32)
        raw = [self._descriptor(block, latent) for block in known_blocks(panel)]
        parts = [np.array([descriptor[i] for descriptor in raw]) for i in range(2)]
        # Both parts weigh the same, however many more covariances there are than correlations with the target.
        points = np.hstack([(part - part.mean(0)) / max(float(np.sqrt(part.var(0).sum())), 1e-9) for part in parts])
        u, s, _ = np.linalg.svd(points, full_matrices=False)
        q = min(self.n_components, n - 1, len(s))
        scores = u[:, :q] * np.sqrt(n)
        self.eras_, self.descriptors_ = np.array(panel.eras), scores
        self.inertia_ = inertia_of(scores) if self.inertia is None else np.full(q, self.inertia)
        self.sd_ = scores.std(0)
        return np.asarray(scores, np.float32)

    def _descriptor(self, block: Block, latent: Latent) -> tuple[Float64, Float64]:
        """The upper triangle of the covariance of an era's latent columns, and their correlations with the target."""
        assert block.target is not None
        x, y = latent.of(block).astype(np.float64), block.target - block.target.mean()
        x -= x.mean(0)
        covariance = x.T @ x / len(x)
        scale = np.sqrt(np.diag(covariance) * (y**2).mean())
        related = np.divide(x.T @ y / len(x), scale, out=np.zeros(len(scale)), where=scale > 1e-9)
        return covariance[np.triu_indices(len(covariance))], related

    @property
    def latent(self) -> Latent:
        """The map between features and the latent columns that the network sees."""
        return Latent.from_state(self.state())

    def _learn(self, panel: Panel, latent: Latent, conditions: Float32, rng: np.random.Generator, context: FitContext) -> None:
        from numerai_lab.neural.diffusion import Conditions, Denoising, DiffusionEncoding
        from numerai_lab.neural.networks import generator_for
        from numerai_lab.neural.rows import held_out

        self._network = None
        self.conditions_ = conditions
        self.seed_ = np.array(rng.integers(2**62))
        encoding = DiffusionEncoding(latent.projection / panel.top, latent.offset, *self.y_.tolist())
        era_conditions = Conditions(panel.eras, conditions, learned=self.condition == "era")
        denoiser = self._denoiser(generator_for(int(self.seed_)))
        objective = Denoising(denoiser, encoding, era_conditions, self.structure, self.drop_condition)
        self._train(objective, panel, rng, context)
        self.conditions_ = objective.conditions.detach().cpu().numpy().copy()
        learned_from, _ = held_out(panel, HELD_OUT, self.held_out_eras)  # held-out eras keep their first vector
        self.learned_from_ = np.flatnonzero(np.isin(panel.eras, learned_from.eras))
        for name, values in denoiser.arrays().items():
            setattr(self, name, values)

    def _denoiser(self, init: Any) -> "Denoiser":
        from numerai_lab.neural.diffusion import Denoiser, DenoiserShape

        heads = 4 if self.structure == "set" else 0
        return Denoiser(DenoiserShape(self.latent.width + 1, self.conditions_.shape[1], self.hidden, self.n_layers, heads), init)

    def _sampled(
        self, conditions: Sequence[Float32], n_rows: Sequence[int], rngs: Sequence[np.random.Generator]
    ) -> list[Float32]:
        """Latent columns and target of the new rows of each era, rows × values, from noise."""
        import torch

        from numerai_lab.neural.networks import device_for, generator_for
        from numerai_lab.neural.sampling import RowSet, noise_levels, sampled

        device = device_for(self.device)
        if self._network is None:
            self._network = self._denoiser(generator_for(int(self.seed_))).load(self.state()).to(device)

        def denoise(x: torch.Tensor, level: float, condition: torch.Tensor) -> torch.Tensor:
            at = torch.full((1, 1, 1), level, device=device)
            clean: torch.Tensor = self._network(x, at, condition)
            if self.guidance == 1:
                return clean
            plain: torch.Tensor = self._network(x, at, torch.zeros_like(condition))
            return torch.lerp(plain, clean, self.guidance)

        sets = []
        for condition, n, rng in zip(conditions, n_rows, rngs, strict=True):
            known = torch.from_numpy(np.append(condition, np.float32(1))).to(device)
            sets += [RowSet(known, size, int(rng.integers(2**62))) for size in self._set_sizes(n)]
        alone, levels = self.structure == "rows", noise_levels(self.n_steps)
        with torch.inference_mode():
            values = sampled(denoise, sets, self.latent.width + 1, levels, most_rows(device.type), padded=alone)
            rows = torch.cat(values).cpu().numpy()
        return np.split(rows, np.cumsum(n_rows)[:-1])

    def _set_sizes(self, n_rows: int) -> list[int]:
        """Rows of the sets that the rows of an era are sampled in."""
        size = self.batch_size // self.eras_per_batch if self.structure == "set" else ROWS_A_PASS
        return [len(part) for part in np.array_split(np.arange(n_rows), max(1, round(n_rows / size)))]


def most_rows(device: str) -> int:
    """Rows of several sets that are sampled at once. On a CPU there is one set, whose last bits do not depend on others."""
    return 1 if device == "cpu" else GPU_ROWS_A_PASS
