"""Training data as a stream of batches: the panel's own rows, then each augmenter's, made when they are asked for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from numerai_lab.core.arrays import Float32, Int8, Int64
from numerai_lab.core.errors import NlabFailure
from numerai_lab.core.panel import Block, Panel
from numerai_lab.core.row_weights import Weight, relative_weights
from numerai_lab.core.seeding import rng_for
from numerai_lab.core.stream_parts import ArrayCache, AugmenterLike, GeneratorLike, Origin, RowSource


@dataclass(frozen=True)
class Batch:
    """Training rows of one era.

    X: float32, rows × inputs. y: float32, rows, no NaN. weight: float32, rows, or a number that all rows have.
    """

    era: int
    X: Float32
    y: Float32
    weight: Weight = 1.0


@dataclass(frozen=True)
class TrainingStream:
    """A sequence of batches; `stream[i]` gives the same bytes on every pass, in whatever order it is asked.

    The panel must be a view of the training eras with their target, and augmenters fitted on it. Rows without a target are
    left out before any augmenter sees them. `inputs` names what a model reads: `raw` and generators. Synthetic rows are
    drawn from the seed, the augmenter's `seed_key`, era and copy, invented eras by their number, whatever other augmenters
    invent, and they get their generated columns from the fitted generators. Invented eras have ids from the power of ten above
    `last_era`, which is the last era of all data (by default the panel's). Weights of augmenters that weigh are multiplied and
    have mean 1 over the real rows. A synthetic row weighs the `weight` of its augmenter, times the mean of its era.
    kept: materialized rows, by augmenter. Auxiliary targets of the panel are learned beside its target; they are known where
    that one is. labels: a hash of the target, where it is not the run's own. part: the stream holds
    every `n_parts`-th batch alone, from this one on.
    """

    panel: Panel
    inputs: tuple[str, ...]
    input_names: tuple[str, ...]
    seed: int
    augmenters: Mapping[str, AugmenterLike] = field(default_factory=dict)
    generators: Mapping[str, GeneratorLike] = field(default_factory=dict)
    array_cache: ArrayCache | None = None
    last_era: int = 0
    kept: Mapping[str, RowSource] = field(default_factory=dict)
    labels: str = ""
    part: int = 0
    n_parts: int = 1

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """One entry a batch of this part."""
        return self.all_origins[self.part :: self.n_parts]

    @cached_property
    def all_origins(self) -> tuple[Origin, ...]:
        """One entry a batch: every era's own rows, then each augmenter's eras, copy after copy."""
        eras = [era for era, n in self.n_known.items() if n]
        origins = [] if any(augmenter.replaces for augmenter in self.augmenters.values()) else [Origin(era) for era in eras]
        next_era = 10 ** len(str(max([self.last_era, *eras])))
        for name, augmenter in self.augmenters.items():
            if augmenter.invents_eras:
                n_new = augmenter.n_of(len(eras))
                numbers = range(augmenter.copies * n_new)
                origins += [Origin(next_era + number, name, number // n_new, number) for number in numbers]
                next_era += len(numbers)
            else:
                origins += [Origin(era, name, copy) for copy in range(augmenter.copies) for era in eras]
        return tuple(origins)

    @cached_property
    def n_known(self) -> dict[int, int]:
        """Rows with a target, by era."""
        assert self.panel.target is not None
        target = self.panel.target
        return {era: int(np.isfinite(target[self.panel.rows(era)]).sum()) for era in self.panel.eras.tolist()}

    @cached_property
    def n_rows(self) -> tuple[int, ...]:
        """Rows of each batch, known without making any. An invented era has as many as one of the training eras."""
        return tuple(self._n_rows(origin) for origin in self.origins)

    def __len__(self) -> int:
        return len(self.origins)

    def __iter__(self) -> Iterator[Batch]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, i: int) -> Batch:
        block = self._block(self.origins[i])
        assert block.target is not None
        batch = Batch(block.era, block.matrix(self.inputs), np.array(block.target), self._weight(self.origins[i]))
        self.panel.release()
        return batch

    def in_bins(self, i: int) -> tuple[Int8, Float32]:
        """Inputs and target of `self[i]`, the inputs as they are, small integers: for a stream that is `binned` alone."""
        rows = self.rows_of(self.origins[i])
        assert rows.target is not None
        batch = np.ascontiguousarray(rows.features), np.array(rows.target)
        self.panel.release()
        return batch

    @cached_property
    def binned(self) -> bool:
        """Every input is a small integer: raw binned features alone, in the panel and in what augmenters make of it."""
        return self.inputs == ("raw",) and self.raw_in_bins

    @cached_property
    def raw_in_bins(self) -> bool:
        """Raw features are among the inputs, as small integers, in the panel and in what augmenters make of it."""
        firsts = {origin.augmenter: origin for origin in reversed(self.all_origins)}
        return "raw" in self.inputs and all(self.rows_of(origin).features.dtype == np.int8 for origin in firsts.values())

    @property
    def n_targets(self) -> int:
        """Targets of a row: more than one where a model learns several jointly."""
        return 1 + len(self.panel.auxiliary)

    def target_matrix(self, i: int) -> Float32:
        """All targets of the real rows of a batch, float32, rows × targets: the panel's target, then its auxiliary ones."""
        origin = self.origins[i]
        assert not origin.augmenter, "synthetic rows have one target"
        assert self.panel.target is not None
        rows = self.panel.rows(origin.era)
        targets = [self.panel.target, *(auxiliary.values for auxiliary in self.panel.auxiliary.values())]
        return np.column_stack([values[rows] for values in targets])[np.isfinite(self.panel.target[rows])]

    def predictions_of(self, i: int, model: str) -> Float32 | None:
        """Another model's predictions for the rows of a batch, NaN where unknown; None for synthetic rows, which have none.

        The panel's `extras` must hold them.
        """
        origin = self.origins[i]
        if origin.augmenter:
            return None
        assert self.panel.target is not None
        rows = self.panel.rows(origin.era)
        return np.asarray(self.panel.extras[model][rows][np.isfinite(self.panel.target[rows])], np.float32)

    def origins_of(self, augmenter: str) -> list[Origin]:
        """The origins of an augmenter's batches, of all parts."""
        return [origin for origin in self.all_origins if origin.augmenter == augmenter]

    def targets(self) -> Float32:
        """The target of every row, batch after batch, float32."""
        return np.concatenate([self.rows_of(origin).target for origin in self.origins])

    def weight_of(self, i: int) -> Weight:
        """The weight of each row of a batch, or a number that all of them have."""
        return self._weight(self.origins[i])

    @cached_property
    def weighted(self) -> bool:
        """Some rows have another weight than 1."""
        return any(np.any(self._weight(origin) != 1) for origin in self.all_origins)

    def weights(self) -> Float32 | None:
        """The weight of every row, batch after batch, float32; None where all weigh 1."""
        if not self.weighted:
            return None
        sizes = zip(self.origins, self.n_rows, strict=True)
        return np.concatenate([np.full(n, self._weight(origin), np.float32) for origin, n in sizes])

    @cached_property
    def _relative(self) -> dict[int, Weight]:
        """The weights of each era's real rows by the augmenters that weigh; empty without any."""
        weighers = {name: augmenter for name, augmenter in self.augmenters.items() if augmenter.weighs}
        return relative_weights(weighers, {era: n for era, n in self.n_known.items() if n}, self.seed)

    @cached_property
    def _sizes(self) -> tuple[int, ...]:
        """Rows with a target of each era that has any."""
        return tuple(n for n in self.n_known.values() if n)

    def _n_rows(self, origin: Origin) -> int:
        if not origin.augmenter:
            return self.n_known[origin.era]
        if origin.number is not None:
            return self._sizes[origin.number % len(self._sizes)]
        return self.augmenters[origin.augmenter].n_of(self.n_known[origin.era])

    def _weight(self, origin: Origin) -> Weight:
        own = self.augmenters[origin.augmenter].weight if origin.augmenter else 1.0
        if not self._relative or origin.number is not None:
            return own
        factor = self._relative[origin.era]
        return own * float(np.mean(factor)) if origin.augmenter else factor

    def _block(self, origin: Origin) -> Block:
        """The rows with the columns that the model reads."""
        rows = self.rows_of(origin)
        if not origin.augmenter:
            return rows
        return replace(rows, columns={name: self._columns(name, origin, rows) for name in self.inputs if name != "raw"})

    def rows_of(self, origin: Origin) -> Block:
        """The rows of one batch, without generated columns. Raises NlabFailure for invalid rows of an augmenter."""
        if not origin.augmenter:
            return self._known(origin.era)
        return self._checked(origin, self._augmented(origin))

    def invented(self, origins: Sequence[Origin]) -> list[Block]:
        """`rows_of` several eras that one augmenter invents, in one pass where it can. Raises NlabFailure as `rows_of` does."""
        augmenter = self.augmenters[origins[0].augmenter]
        numbers = [origin.number for origin in origins if origin.number is not None]
        rngs = [rng_for(self.seed, "invent", augmenter.seed_key, number) for number in numbers]
        blocks = augmenter.invent_together(numbers, [self._n_rows(origin) for origin in origins], rngs)
        return [self._checked(origin, block) for origin, block in zip(origins, blocks, strict=True)]

    def _checked(self, origin: Origin, rows: Block) -> Block:
        """The rows that an augmenter made for one batch, with its era."""
        block = replace(rows, era=origin.era)
        wanted, n_wrong = self._n_rows(origin), block.n_not_finite()
        if len(block) != wanted or block.target is None or len(block.target) != wanted or n_wrong:
            raise NlabFailure(
                f"augmenters.{origin.augmenter}: gave {len(block)} rows with {n_wrong} cells or targets not finite for era "
                f"{origin.era}; wanted {wanted}, all finite"
            )
        return block

    def _known(self, era: int) -> Block:
        own = self.panel.block(era)
        assert own.target is not None
        return own.take(np.isfinite(own.target))

    def _augmented(self, origin: Origin) -> Block:
        """The rows that the augmenter makes for one batch, from parents drawn for this batch alone."""
        augmenter = self.augmenters[origin.augmenter]
        if origin.augmenter in self.kept:
            return self.kept[origin.augmenter].block(self._places[origin])
        if origin.number is not None:
            rng = rng_for(self.seed, "invent", augmenter.seed_key, origin.number)
            return augmenter.invent(origin.number, self._n_rows(origin), rng)
        rng = rng_for(self.seed, "augment", augmenter.seed_key, origin.era, origin.copy)
        own = self._known(origin.era)
        chosen = np.ones(len(own), bool)
        if (n_new := augmenter.n_of(len(own))) < len(own):
            chosen[rng.permutation(len(own))[n_new:]] = False
        if augmenter.crosses_eras:
            return augmenter.blend(own.take(chosen), self._partners(origin, np.flatnonzero(chosen)), rng)
        if augmenter.whole_era:
            return augmenter.augment(own, rng).take(chosen)
        return augmenter.augment(own.take(chosen), rng)

    @cached_property
    def _places(self) -> dict[Origin, int]:
        """The place of each origin among the batches of its augmenter."""
        return {origin: i for name in self.kept for i, origin in enumerate(self.origins_of(name))}

    def _partners(self, origin: Origin, places: Int64) -> Block:
        """One row for each of an era's rows at these places: its image under a permutation of all training rows."""
        known, starts = self._known_rows
        rows = known[self._orders[origin.augmenter, origin.copy][starts[origin.era] + places]]
        panel = self.panel
        assert panel.target is not None
        return Block(origin.era, panel.features[rows, : panel.n_raw], panel.top, panel.target[rows])

    @cached_property
    def _known_rows(self) -> tuple[Int64, dict[int, int]]:
        """Rows of the panel with a target, and where each era's begin among them."""
        assert self.panel.target is not None
        rows, starts, n = [], {}, 0
        for era, n_era in self.n_known.items():
            of_era = self.panel.rows(era)
            starts[era] = n
            rows.append(of_era.start + np.flatnonzero(np.isfinite(self.panel.target[of_era])))
            n += n_era
        return np.concatenate(rows), starts

    @cached_property
    def _orders(self) -> dict[tuple[str, int], Int64]:
        """A permutation of all training rows for each copy of an augmenter that crosses eras."""
        n = sum(self.n_known.values())
        return {
            (name, copy): rng_for(self.seed, "partners", augmenter.seed_key, copy).permutation(n)
            for name, augmenter in self.augmenters.items()
            if augmenter.crosses_eras
            for copy in range(augmenter.copies)
        }

    def _columns(self, name: str, origin: Origin, block: Block) -> Float32:
        if self.array_cache is None:
            return self.generators[name].transform(block)
        # Fits, partners and numbers of rows depend on the training eras and their target, which are part of the key.
        key = repr((name, origin, self.seed, self.n_known, self.labels))
        kept = self.array_cache.fetch(key)
        if kept is None:
            self.array_cache.keep(key, kept := self.generators[name].transform(block))
        return kept
