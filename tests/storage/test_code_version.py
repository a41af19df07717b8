"""Which code computes a stage: all that it imports, as syntax trees; what only explains it does not count."""

import gc
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import numerai_lab
from numerai_lab.fitting import fit_plan
from numerai_lab.generators.linear import PCA
from numerai_lab.generators.umap_parametric import UMAPParametric
from numerai_lab.models import Ridge
from numerai_lab.storage import code_version as code_versions
from numerai_lab.storage import import_graph, parsed_source
from numerai_lab.storage.code_version import code_version, library_versions
from numerai_lab.storage.import_graph import SourceFile, reached

PLUGIN = '''
"""A plug-in."""
import importlib
from numerai_lab.generators.linear import PCA
{imports}

class Mine(PCA):
    """Ours with a twist."""

    def twist(self):
        {local}
        return 1
'''


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Files are read once a process: tests that change them ask anew."""
    modules = set(sys.modules)
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    _clear()


def _clear() -> None:
    for module in (import_graph, code_versions, parsed_source):
        for each in vars(module).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Writes files and gives the class `Mine` of the module `plug.mine`."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def written(**files: str) -> Any:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        _clear()
        for name in ("plug", "plug.mine", "plug.helper"):
            sys.modules.pop(name, None)
        return importlib.import_module("plug.mine").Mine

    return written


def mine(imports: str = "", local: str = "pass") -> str:
    return PLUGIN.format(imports=imports, local=local)


@pytest.mark.parametrize(
    ("text", "helper"),
    [
        (mine("from .helper import factor"), "plug__in__helper"),
        (mine("from . import helper"), "plug__in__helper"),
        (mine(local="from .helper import factor"), "plug__in__helper"),
        (mine(local='importlib.import_module("plug.helper")'), "plug__in__helper"),
        (mine(local='importlib.import_module(".helper", __package__)'), "plug__in__helper"),
        (mine(local='__import__("beside")'), "beside"),
        (mine("import beside"), "beside"),
        (mine("from beside import *"), "beside"),
        (mine("import other.deep"), "other__in__deep"),
        (mine("import beside2"), "beside"),
        (mine("try:\n    import absent\nexcept ImportError:\n    import beside"), "beside"),
        (mine("for _ in ():\n    pass\nelse:\n    import beside"), "beside"),
        (mine("try:\n    pass\nfinally:\n    import beside"), "beside"),
        (mine("match 1:\n    case 1:\n        import beside"), "beside"),
        (mine(local="[importlib.import_module('beside') for _ in '1']"), "beside"),
        (mine("from plug import factor"), "plug__in____init__"),
        (mine("import other.deep"), "other__in____init__"),
    ],
)
def test_a_change_in_a_module_that_a_component_imports_changes_its_version(
    plugin: Callable[..., Any], text: str, helper: str
) -> None:
    base = dict.fromkeys(("plug__in____init__", "plug__in__helper", "beside", "other__in__deep"), "factor = 1\n")
    base |= {"other__in____init__": "", "beside2": "import beside\n", "plug__in__mine": text}
    before = code_version(plugin(**base))
    assert code_version(plugin(**base)) == before
    assert code_version(plugin(**base | {helper: "factor = -1\n"})) != before


def test_a_class_that_its_file_does_not_hold_or_that_can_not_be_read_never_has_the_same_version_again(
    plugin: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = plugin(plug__in____init__="", plug__in__mine=mine())
    assert code_version(kind) == code_version(kind)
    made = type("Made", (kind,), {"__module__": kind.__module__})
    assert code_version(made) != code_version(made)
    _clear()
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path == tmp_path / "plug" / "mine.py":
            raise PermissionError(path)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    assert code_version(kind) != code_version(kind)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_goes_on_as_before(enabled: bool, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(:\n")
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        assert parsed_source.parsed(tmp_path / "bad.py") is None
        assert parsed_source.parsed(Path(__file__)) is not None
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_docstrings_comments_and_layout_do_not_count(plugin: Callable[..., Any]) -> None:
    plain = {"plug__in____init__": "", "plug__in__mine": mine("import beside")}
    first = code_version(plugin(**plain, beside="def f(x):\n    '''Twice.'''\n    return 2 * x\n\nN = 3\n"))
    same = 'def f(\n    x,\n):  # doubled\n    """Two\n    times."""\n\n    return (2 * x)\nN = 3\n"""How many."""\n'
    assert code_version(plugin(**plain, beside=same)) == first
    assert code_version(plugin(**plain, beside="def f(x):\n    return 3 * x\n\nN = 3\n")) != first


def test_a_module_imported_for_types_alone_does_not_count(plugin: Callable[..., Any]) -> None:
    text = mine("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import beside")
    first = code_version(plugin(plug__in____init__="", plug__in__mine=text, beside="N = 1\n"))
    assert code_version(plugin(plug__in____init__="", plug__in__mine=text, beside="N = 2\n")) == first


def test_data_files_that_a_component_declares_count_by_content(plugin: Callable[..., Any], tmp_path: Path) -> None:
    text = mine().replace("    def twist", '    reads = ("table.csv",)\n\n    def twist')
    kind = plugin(plug__in____init__="", plug__in__mine=text)
    assert code_version(kind) != code_version(kind)  # what can't be read never comes again
    table = tmp_path / "plug" / "table.csv"
    table.write_text("1,2\n")
    first = code_version(kind)
    assert code_version(kind) == first
    table.write_text("1,2,3\n")
    assert code_version(kind) != first


def test_helpers_of_stages_count_with_what_they_import_and_registries_do_not() -> None:
    def names(module: ModuleType) -> set[str]:
        files = reached(SourceFile(module.__name__, Path(str(module.__file__)))).files
        return {source.module.removeprefix("numerai_lab.") for source in files}

    assert {"fitting.fit_plan", "core.folds", "core.splits", "generators.base"} <= names(fit_plan)
    assert not {"generators", "augmenters", "generators.umap", "augmenters.diffusion"} & names(fit_plan)
    ridge = names(sys.modules[Ridge.__module__])
    assert {"models.linear", "models.base", "core.training_stream", "core.panel", "core.component", "core.errors"} <= ridge
    assert not {"models", "models.boosting", "generators", "config"} & ridge


def test_libraries_are_named_by_version_and_so_is_python() -> None:
    versions = library_versions(UMAPParametric)
    assert {"umap-learn", "numba", "numpy", "torch", "python"} <= set(versions)
    assert "absent" not in versions.values()
    assert versions["python"] == sys.version.split()[0]


def test_a_class_without_a_source_gets_a_version_that_never_comes_again() -> None:
    assert code_version(Ridge) == code_version(Ridge) != code_version(UMAPParametric)
    space: dict[str, Any] = {"PCA": PCA}
    exec("class Typed(PCA): pass", space)
    assert code_version(space["Typed"]) != code_version(space["Typed"])


def test_asking_for_the_version_imports_nothing(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "mine.py").write_text("def f():\n    import beside, sklearn.decomposition\n")
    script = (
        "import mine, sys; from numerai_lab.storage.code_version import code_version; "
        "code_version(mine); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_moving_a_module_costs_no_cached_stage(tmp_path: Path) -> None:
    package = Path(numerai_lab.__file__).parent
    shutil.copytree(package, tmp_path / "numerai_lab", ignore=shutil.ignore_patterns("__pycache__"))
    before = version_in(tmp_path)
    (tmp_path / "numerai_lab/neural/losses.py").rename(tmp_path / "numerai_lab/core/scalars.py")
    for path in (tmp_path / "numerai_lab").rglob("*.py"):
        path.write_text(path.read_text().replace("numerai_lab.neural.losses", "numerai_lab.core.scalars"))
    assert version_in(tmp_path) == before
    moved = tmp_path / "numerai_lab/core/scalars.py"
    moved.write_text(moved.read_text() + "\nLOSSES = 1\n")
    assert version_in(tmp_path) != before


def version_in(folder: Path) -> str:
    script = (
        "from numerai_lab.storage.code_version import code_version; from numerai_lab.neural import contrastive; "
        "print(code_version(contrastive))"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout
