"""Tries methods that the suite does not test, such as those of plug-ins, on a few rows before anything is fitted."""

from collections.abc import Iterator

from numerai_lab.config.plugins import explained, plugin_of
from numerai_lab.config.schema import Config
from numerai_lab.contracts.small_panels import cut
from numerai_lab.contracts.trying import tried
from numerai_lab.core.component import Component
from numerai_lab.core.errors import NlabError
from numerai_lab.core.panel import Panel
from numerai_lab.fitting.feature_selection import outline
from numerai_lab.fitting.fit_plan import FitPlan


def rehearse(config: Config, panel: Panel, plan: FitPlan) -> None:
    """Fits, saves and loads the methods of plug-ins on a few rows of the training eras.

    Raises NlabError that names the first promise that one of them breaks, and the line of the plug-in where one failed.
    """
    for where, component, shown in _subjects(config, panel, plan):
        if not component.tried_first and plugin_of(type(component)) is None:
            continue
        broken = next((sentence for _, sentence in tried(component, shown, explained) if sentence), "")
        if broken:
            raise NlabError(f"{where}: tried on {shown.n_rows} rows before any training: {broken}")


def _subjects(config: Config, panel: Panel, plan: FitPlan) -> Iterator[tuple[str, Component, Panel]]:
    """Place in the config, component, and a few rows of what its fit will see."""
    for name in dict.fromkeys(name for variant in config.trained for name in config.generators_of(variant)):
        template = config.generators[name]
        yield f"generators.{name}", template, cut(outline(template, panel, plan.generators[name][0].fitted_on))
    for variant_name in config.trained:
        variant, eras = config.variants[variant_name], plan.models[variant_name]
        rows = cut(panel.only(eras)).eras.tolist()
        shown = cut(panel.labelled(rows).only(rows).for_fitting())
        for name in variant.augment:
            yield f"augmenters.{name}", config.augmenters[name], shown
        yield f"variants.{variant_name}.model" if variant.model else "model", config.model_of(variant_name), shown
