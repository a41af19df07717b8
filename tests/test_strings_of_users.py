"""What users write reaches no library that reads more into it: patterns, home folders, encodings."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args, get_origin, get_type_hints

import numpy as np
import polars as pl
import pytest

import numerai_lab
from numerai_lab import api
from numerai_lab.cli.app import app
from numerai_lab.cli.cache import cache_app
from numerai_lab.cli.data import data_app
from numerai_lab.cli.terminal import expanded
from numerai_lab.core.errors import NlabError
from numerai_lab.data.files import Files
from numerai_lab.data.numerai import Numerai
from numerai_lab.data.reader import load
from numerai_lab.storage.folders import cache_dir, user_path
from tests.conftest import make_config

ODD = "a [1] {b,c} *?! 50%20 ~é"
"""A name of a file or folder that a shell, a glob and a URL would each read differently."""
READERS = ("scan_parquet", "read_parquet", "scan_csv", "read_csv")


def toy(n_eras: int = 60, n_rows: int = 24) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    n = n_eras * n_rows
    bins = rng.integers(0, 5, (n, 3)).astype(np.int8)
    return pl.DataFrame(
        {
            "id": [f"n{i:05d}" for i in range(n)],
            "era": [f"{i // n_rows + 1:04d}" for i in range(n)],
            "data_type": ["train" if i < n // 2 else "validation" for i in range(n)],
            **{f"feature_{i}": bins[:, i] for i in range(3)},
            "target_a_20": pl.Series(rng.integers(0, 5, n) / 4, dtype=pl.Float32),
        }
    )


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Every call of the package that has a name: where, the name, the call."""
    for path in Path(numerai_lab.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                function = node.func
                name = getattr(function, "attr", getattr(function, "id", ""))
                yield f"{path.name}:{node.lineno}", name, node


def opens_text(name: str, call: ast.Call) -> bool:
    """Whether a call opens a file as text; `write_text(name, text)` of a run folder does not, it names the encoding itself."""
    if name in ("read_text", "write_text"):
        return len(call.args) < 2
    if ast.unparse(call.func) == "tarfile.open":
        return False
    modes = [each.value for each in call.args if isinstance(each, ast.Constant) and re.fullmatch("[rwax+b]+", str(each.value))]
    bare = len(call.args) == (0 if isinstance(call.func, ast.Attribute) else 1)
    return name == "open" and (bare or any("b" not in str(mode) for mode in modes))


def test_no_text_file_is_opened_in_the_encoding_of_the_locale() -> None:
    opened = [(where, {key.arg for key in call.keywords}) for where, name, call in calls() if opens_text(name, call)]
    assert len(opened) > 20
    assert [where for where, keys in opened if "encoding" not in keys] == []


def test_no_path_is_handed_to_polars_as_a_pattern() -> None:
    patterns = [
        where
        for where, name, call in calls()
        if name in READERS
        and "glob" not in {key.arg for key in call.keywords}
        and ast.unparse(call.args[0]) != "file"  # an open file
        and "content" not in ast.unparse(call.args[0])  # bytes
        and not ast.unparse(call.func).startswith("pd.")  # pandas knows no patterns
    ]
    assert patterns == []


def test_every_path_of_the_command_line_may_begin_with_a_tilde() -> None:
    commands = [each.callback for part in (app, data_app, cache_app) for each in part.registered_commands]
    paths, left = 0, []
    for command in commands:
        assert command is not None
        for name, hint in get_type_hints(command, include_extras=True).items():
            if get_origin(hint) is Annotated and "Path" in str(get_args(hint)[0]):
                paths += 1
                left += [f"{command.__name__} {name}"] if get_args(hint)[1].callback is not expanded else []
    assert paths > 20
    assert left == []


def test_a_run_reads_and_writes_under_names_that_are_patterns(tmp_path: Path) -> None:
    folder = tmp_path / ODD
    folder.mkdir()
    toy().write_parquet(folder / f"{ODD}.parquet")
    config = make_config(
        data={"source": "files", "path": str(folder / f"{ODD}.parquet"), "feature_set": "all", "target": "target_a_20"},
        splits={"train": "train"},
        variants={"001": {}, "1e5": {}},
    )
    done = api.run(config, folder / "runs")
    again = api.read_run(done.path)
    assert {name for name, _ in again.scores.index} == {"001", "1e5"}
    assert len(again.predictions) > 0
    assert again._repr_html_()
    assert len(api.compare([done]).table) == 6


def test_of_two_files_that_one_pattern_fits_the_one_that_was_named_is_read(tmp_path: Path) -> None:
    for suffix, write in ((".parquet", pl.DataFrame.write_parquet), (".csv", pl.DataFrame.write_csv)):
        write(toy(n_rows=5), tmp_path / f"b1{suffix}")
        write(toy(n_rows=7), tmp_path / f"b[1]{suffix}")
        panel = load(Files(path=str(tmp_path / f"b[1]{suffix}"), target="target_a_20")).panel
        assert len(panel.ids) == 60 * 7


def test_a_tilde_is_the_home_folder_wherever_a_path_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NLAB_CACHE", "~/cache")
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("NLAB_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "~/xdg")
    assert cache_dir() == tmp_path / "xdg" / "numerai_lab"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == tmp_path / ".cache" / "numerai_lab"
    assert Numerai(path="~/numerai").folder == tmp_path / "numerai"
    toy().write_parquet(tmp_path / "a.parquet")
    assert Files(path="~/a.parquet").files().tables == (tmp_path / "a.parquet",)
    assert expanded([Path("~/a"), Path("b")]) == [tmp_path / "a", Path("b")]
    assert expanded(None) is None


def test_a_home_folder_that_there_is_not_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NlabError, match=r"~no-such-user/a: this machine knows no home folder '~no-such-user'"):
        user_path("~no-such-user/a")
    with pytest.raises(NlabError, match=r"knows no home folder"):
        Files(path="~no-such-user/a.parquet").files()
    monkeypatch.setenv("NLAB_CACHE", "~no-such-user/cache")
    with pytest.raises(NlabError, match=r"knows no home folder"):
        cache_dir()


def test_features_json_is_read_as_utf_8_in_every_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = toy().rename({"feature_0": "feature_ü"})
    table.filter(data_type="train").write_parquet(tmp_path / "train.parquet")
    sets = {"feature_sets": {"small": ["feature_ü", "feature_1"]}}
    (tmp_path / "features.json").write_text(json.dumps(sets, ensure_ascii=False), encoding="utf-8")
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    source = Files(path=str(tmp_path), feature_set="small", target="target_a_20")
    assert source.files().feature_sets["small"] == ("feature_ü", "feature_1")
    assert load(source).panel.raw_names[0] == "feature_ü"


@pytest.mark.parametrize("sets", ['{"small": "feature_1"}', '{"small": [1, 2]}', '{"small": {"a": 1}}', "[1]", '"x"'])
def test_feature_sets_that_are_no_lists_of_names_are_one_sentence(tmp_path: Path, sets: str) -> None:
    toy().write_parquet(tmp_path / "train.parquet")
    (tmp_path / "features.json").write_text(f'{{"feature_sets": {sets}}}', encoding="utf-8")
    with pytest.raises(NlabError, match=r"features\.json: (not a features|feature set 'small' is no list of names)"):
        Files(path=str(tmp_path)).files()
