"""The checks of every built-in method, over the methods of a plug-in. `nlab check-plugin`."""

from collections.abc import Iterator
from dataclasses import dataclass

from numerai_lab.config.plugins import Plugin, explained
from numerai_lab.contracts.small_panels import invented
from numerai_lab.contracts.trying import checks_of, tried
from numerai_lab.data import Source

N_ERAS, N_ROWS = 8, 100
"""Size of the panels that methods are checked on."""
PANELS = {"features in bins": True, "continuous features": False}


@dataclass(frozen=True)
class PluginCheck:
    """A check of a method. broken: the sentence that says why it fails; empty where it passes."""

    kind: str
    check: str
    broken: str

    def __str__(self) -> str:
        return f"{'FAIL' if self.broken else 'pass'}  {self.kind}: {self.check}" + (f": {self.broken}" if self.broken else "")


def plugin_checks(plugin: Plugin) -> Iterator[PluginCheck]:
    """Every check of every method with its default parameters, on made-up rows. Of sources only that they can be read."""
    for kind, (_, method) in plugin.methods.items():
        if issubclass(method, Source):
            yield PluginCheck(kind, "the source is registered; read it with `nlab data`", "")
            continue
        template = method()
        for about, binned in PANELS.items():
            panel = invented(n_eras=N_ERAS, n_rows=N_ROWS, binned=binned)
            for check, broken in tried(template, panel, explained):
                yield PluginCheck(kind, f"{check} ({about})", broken)
        if not checks_of(template):
            yield PluginCheck(kind, "it is registered; weights have no checks", "")
