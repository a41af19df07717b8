"""Memory and disk that a run needs, from its config and rows by era."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from numerai_lab.config.default_variants import RAW
from numerai_lab.config.schema import Config
from numerai_lab.data.reader import Loaded
from numerai_lab.fitting.fit_plan import FitPlan
from numerai_lab.models import Model

LIBRARIES_BYTES = 145_000_000
"""Python with the libraries that every run loads."""
REPORT_BYTES, COMPARED_BYTES = 170_000_000, 80_000_000
"""The libraries of scores and plots, and of differences between variants, which are loaded after the last training."""
PAGES_BYTES, PREDICTED_BYTES = 2_200_000, 8
"""On disk: report and plots; id, era, target and split of a row of the prediction table."""
INGEST_BYTES, INGESTED_BYTES, INGESTED_COLUMN_BYTES = 270_000_000, 330, 100_000
"""The reader's peak: libraries; ids, eras and targets of a row while they are put in order; decoded pieces of a column."""
REALISM_BYTES, JUDGED_ROWS = 330_000_000, 80_000
"""What realism takes: its libraries and measures; rows of samples as floats, real and new."""
FLOAT_BYTES = 4
"""A value of an era's rows while a model reads them, and of columns and labels in files."""
TARGET_BYTES = 24
"""A row of a model that learns several targets jointly, for each but the first: labels, gradients and predictions."""
FURTHER_LEAVES = 0.35
"""The file of such a model grows by this share of that of one target, for each but the first."""
SCORED_BYTES = 150
"""A row of the prediction table while it is put together: id, era, target and split as Python and polars hold them."""


@dataclass(frozen=True)
class ResourceNeeds:
    """Bytes at the peak of a run.

    disk: what it adds to the cache, stores excepted, its scratch and its run folder. gpu: 0 where nothing runs on one.
    """

    memory_bytes: int
    disk_bytes: int
    gpu_bytes: int = 0


@dataclass(frozen=True)
class EstimateInputs:
    """The inputs of the estimates.

    Attributes
    ----------
    plan: the fit plan of the run.
    n_rows: rows by era.
    n_features: the number of raw features that models read.
    new_stores: the run writes a store.
    folds: the plans of cross-validation, each with columns, rows and predictions of its own.
    cell_bytes: bytes of a raw feature of a row in the store.
    feature_sets: name → positions of its features among those that are read, the raw ones first.
    parts_elsewhere: the parts of models with `workers` are trained by other machines.
    """

    plan: FitPlan
    n_rows: Mapping[int, int]
    n_features: int
    new_stores: bool = False
    folds: Sequence[FitPlan] = ()
    cell_bytes: int = 1
    feature_sets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    parts_elsewhere: bool = False

    @classmethod
    def of(cls, loaded: Loaded, plan: FitPlan, folds: Sequence[FitPlan], parts_elsewhere: bool = False) -> "EstimateInputs":
        """From the data of a run."""
        panel = loaded.panel
        n_rows = (panel.bounds[:, 1] - panel.bounds[:, 0]).tolist()
        rows = dict(zip(panel.eras.tolist(), n_rows, strict=True))
        sets = {name: at.tolist() for name, at in panel.feature_sets.items()}
        return cls(plan, rows, panel.n_raw, loaded.new_stores, folds, panel.features.dtype.itemsize, sets, parts_elsewhere)

    @property
    def config(self) -> Config:
        """The config of the plan."""
        return self.plan.config

    def rows_of(self, eras: tuple[int, ...]) -> int:
        """Rows of some eras."""
        return sum(self.n_rows[era] for era in eras)

    def rows_before_end(self, plan: FitPlan) -> int:
        """Rows of the panel of a plan: all of the run's, and of a fold those up to its last era."""
        end = max(self.n_rows) if plan is self.plan else max(*plan.splits.train, *plan.splits.validation)
        return sum(rows for era, rows in self.n_rows.items() if era <= end)

    def rows_written(self) -> int:
        """Rows of a generated column in the cache, those of folds included."""
        return sum(self.rows_before_end(plan) for plan in (self.plan, *self.folds))

    def n_selected(self, generator: str) -> int:
        """The number of raw features that a generator reads."""
        select = self.config.generators[generator].select
        if select is None:
            return self.n_features
        if select.top_k is not None:
            return select.top_k
        return len({at for name in select.features or () for at in self.feature_sets.get(name, ()) if at < self.n_features})

    def fitting_bytes(self, generator: str) -> int:
        """Bytes of memory that a fit of a generator on the training eras takes."""
        return self.config.generators[generator].fitting_bytes(self.rows_of(self.plan.splits.train), self.n_selected(generator))

    def kept_bytes(self) -> int:
        """Bytes of materialized rows for one seed, for each set of training eras and target that variants have."""
        config = self.config
        written = {
            (name, plan.models[variant_name], target, repr(variant.target_transform))
            for plan in (self.plan, *self.folds)
            for variant_name, variant in config.variants.items()
            for name in variant.augment
            for target in config.targets_of(variant_name)
            if config.augmenters[name].keeps_rows
        }
        out = 0
        for name, eras, *_ in written:
            augmenter = config.augmenters[name]
            cell_bytes = 4 if augmenter.between_bins else self.cell_bytes
            out += round(augmenter.growth * self.rows_of(eras)) * (cell_bytes * self.n_features + 4)
        return out

    def trainings(self, plan: FitPlan | None = None) -> list["Training"]:
        """The training of each variant. plan: a fold; None = the run's plan."""
        config, plan = self.config, plan or self.plan
        widths = {RAW: self.n_features, **{name: len(self.feature_sets[name]) for name in config.input_sets}}
        widths |= {name: len(generator.names_out()) for name, generator in config.generators.items()}
        out = []
        for name in config.trained:
            variant, n_train = config.variants[name], self.rows_of(plan.models[name])
            chosen = [config.augmenters[augmenter] for augmenter in variant.augment]
            blocks = sum(a.growth for a in chosen) + (not any(a.replaces for a in chosen))
            n_columns = sum(widths[input_name] for input_name in variant.inputs)
            in_bins = RAW in variant.inputs and self.cell_bytes == 1 and not any(a.between_bins for a in chosen)
            n_cut = n_columns - self.n_features * in_bins
            rows = max((self.n_rows[era] for era in plan.models[name]), default=0)
            out.append(Training(sized_model(config, name), round(n_train * blocks), n_columns, n_cut, rows, self.parts_elsewhere))
        return out


@dataclass(frozen=True)
class Training:
    """A model, its training rows and its inputs, of which n_cut are no raw bins.

    era_rows: of the largest era, which is one batch. parts_elsewhere: as of `EstimateInputs`.
    """

    model: Model
    n_rows: int
    n_columns: int
    n_cut: int
    era_rows: int = 0
    parts_elsewhere: bool = False

    def held_bytes(self) -> int:
        """Bytes of what one part holds of its rows."""
        rows = -(-self.n_rows // self.model.n_parts)
        return self.model.training_bytes(rows, self.n_columns) + self.model.cutting_bytes(rows, self.n_cut)

    def memory_bytes(self) -> int:
        """Bytes of memory: of this process, or of all parts on this machine, each with libraries of its own."""
        of_part = self.held_bytes() + self.model.batch_bytes * self.era_rows * self.n_columns
        if self.model.n_parts == 1:
            return of_part
        return 0 if self.parts_elsewhere else self.model.n_parts * (LIBRARIES_BYTES + self.model.library_bytes + of_part)


def sized_model(config: Config, variant: str) -> Model:
    """The model of a variant, as large as it is with the encoder that it begins with."""
    model = config.model_of(variant)
    return model if model.encoder_of is None else model.with_encoder_widths(config.generators[model.encoder_of].encoder_widths)


def ingest_bytes(n_rows: int, n_columns: int) -> int:
    """Memory that the reader takes to make a store."""
    return INGEST_BYTES + INGESTED_BYTES * n_rows + INGESTED_COLUMN_BYTES * n_columns


def need(task: EstimateInputs) -> ResourceNeeds:
    """Memory and disk that the run needs.

    Memory is the larger of the reader's, and libraries with the largest fit and the largest training or scoring. Disk holds
    generated columns, materialized rows, predictions, models, pages, and what lies in scratch.
    """
    used = {name for variant in task.config.trained for name in task.config.generators_of(variant)}
    ingest = ingest_bytes(sum(task.n_rows.values()), task.n_features) if task.new_stores else 0
    return ResourceNeeds(max(ingest, _memory(task, used)), _disk(task, used), _gpu(task, used))


def _gpu(task: EstimateInputs, used: set[str]) -> int:
    """Bytes of the largest fit or training on a GPU, as many as it would take of a CPU's memory."""
    config, size = task.config, (task.rows_of(task.plan.splits.train), task.n_features)
    augmenters = [config.augmenters[name] for variant in config.variants.values() for name in variant.augment]
    needed = [task.fitting_bytes(name) for name in used if config.generators[name].uses_gpu]
    needed += [augmenter.fitting_bytes(*size) for augmenter in augmenters if augmenter.uses_gpu]
    needed += [training.held_bytes() for training in task.trainings() if training.model.uses_gpu]
    return max(needed, default=0)


def _memory(task: EstimateInputs, used: set[str]) -> int:
    config, splits = task.config, task.plan.splits
    learn = [config.generators[name] for name in sorted(used)]
    augment = [config.augmenters[name] for variant in config.variants.values() for name in variant.augment]
    largest = max((config.model_of(name) for name in config.trained), key=lambda model: model.library_bytes)
    of_methods = [method.library_bytes for method in (*learn, *augment) if method.requires != largest.requires]
    libraries = LIBRARIES_BYTES + largest.library_bytes + max(of_methods, default=0)
    fits = [task.fitting_bytes(name) for name in used]
    fits += [augmenter.fitting_bytes(task.rows_of(splits.train), task.n_features) for augmenter in augment]
    further = len(config.data.auxiliary_targets)
    targets = max((generator.uses_labels * (1 + further * generator.several_targets) for generator in learn), default=0)
    labels = 4 * sum(task.n_rows.values()) * targets  # a fit is shown copies, NaN where it must not see
    further_targets = [max(map(len, config.targets_by_model(name))) - 1 for name in config.trained]
    training = max(
        training.memory_bytes() + TARGET_BYTES * training.n_rows * n_further
        for n_further, training in zip(further_targets, task.trainings(), strict=True)
    )
    report = REPORT_BYTES + COMPARED_BYTES * (len(config.variants) > 1)
    judged = FLOAT_BYTES * JUDGED_ROWS * task.n_features + REALISM_BYTES if any(a.invents_rows for a in augment) else 0
    row_bytes = SCORED_BYTES + 12 * len(config.variants) * len(config.seeds)
    return libraries + labels + max(fits, default=0) + max(training, judged, report + task.rows_of(splits.validation) * row_bytes)


def _disk(task: EstimateInputs, used: set[str]) -> int:
    config, n_seeds = task.config, len(task.config.seeds)
    widths = [len(config.generators[name].names_out()) * (n_seeds if config.generators[name].stochastic else 1) for name in used]
    columns = 4 * task.rows_written() * sum(widths)
    models = {name: config.targets_by_model(name) for name in config.trained}
    outputs = sum(len(targets) for of_variant in models.values() for targets in of_variant)
    predicted = task.rows_of(task.plan.splits.validation) + sum(task.rows_of(fold.splits.validation) for fold in task.folds)
    predictions = predicted * (PREDICTED_BYTES + 4 * n_seeds * (outputs + len(config.variants)))
    trainings = task.trainings()
    sizes = [sum(1 + FURTHER_LEAVES * (len(targets) - 1) for targets in of_variant) for of_variant in models.values()]
    saved = round(sum(n * t.model.saved_bytes(t.n_rows, t.n_columns) for n, t in zip(sizes, trainings, strict=True)))
    n_train = task.rows_of(task.plan.splits.train)
    learned = {name: config.generators[name].settled(n_train) for name in used}
    fits = sum(g.saved_bytes(task.n_selected(name)) * (n_seeds if g.stochastic else 1) for name, g in learned.items())
    augmenters = [config.augmenters[name] for name in sorted({name for v in config.variants.values() for name in v.augment})]
    fitted = n_seeds * sum(augmenter.saved_bytes(task.n_features) for augmenter in augmenters)  # in the cache alone
    kept = (2 + len(task.folds)) * (n_seeds * saved + fits)  # in the cache and the run
    pages = max(training.model.training_disk_bytes(training.n_rows, training.n_columns) for training in trainings)
    before = columns + task.kept_bytes() * n_seeds + pages + _scratch(task, used)
    # Checkpoints of a generator are gone before its columns are written, others before what they made.
    of_fits = [g.checkpoints * g.saved_bytes(task.n_selected(name)) for name, g in learned.items()]
    later = [augmenter.checkpoints * augmenter.saved_bytes(task.n_features) for augmenter in augmenters]
    later += [t.model.checkpoints * t.model.saved_bytes(t.n_rows, t.n_columns) for t in trainings]
    return round(max([before + max(PAGES_BYTES + predictions + kept + fitted, *later), *of_fits]))


def _scratch(task: EstimateInputs, used: set[str]) -> int:
    """Bytes of arrays that end with the run; a fold's end with it."""
    validation, *folds = (_scratch_of(task, plan, used) for plan in (task.plan, *task.folds))
    return validation + max(folds, default=0)


def _scratch_of(task: EstimateInputs, plan: FitPlan, used: set[str]) -> int:
    """Selected features, one copy a fit; feature sets that are read by name; columns of synthetic rows; labels of models."""
    config, n_seeds = task.config, len(task.config.seeds)
    row_bytes = FLOAT_BYTES * sum(len(task.feature_sets[name]) for name in config.input_sets)
    for name in used:
        generator = config.generators[name]
        if generator.select is not None:
            n_fits = len(plan.generators[name]) * (n_seeds if generator.stochastic else 1)
            row_bytes += task.cell_bytes * task.n_selected(name) * n_fits
    labels, synthetic = set(), set()
    for name in config.trained:
        variant, eras = config.variants[name], plan.models[name]
        for targets in config.targets_by_model(name):
            learned = (targets, repr(variant.target_transform), eras)
            labels |= set() if config.learns_own_target(name) else {learned}
            read = [generator for generator in variant.inputs if generator in config.generators]
            synthetic |= {(generator, augmenter, eras, learned) for generator in read for augmenter in variant.augment}
    row_bytes += FLOAT_BYTES * sum(len(targets) for targets, *_ in labels)
    cells = sum(
        round(config.augmenters[augmenter].growth * task.rows_of(eras)) * len(config.generators[generator].names_out())
        for generator, augmenter, eras, _ in synthetic
    )
    return row_bytes * task.rows_before_end(plan) + FLOAT_BYTES * cells * n_seeds
