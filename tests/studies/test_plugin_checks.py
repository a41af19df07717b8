"""`nlab check-plugin`: a line a check, and exit code 1 where a promise is broken."""

from pathlib import Path

from tests.forks import nlab
from tests.own_methods import MINE


def test_whole_methods_pass_with_a_line_for_each_check(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    done = nlab("check-plugin", "mine.py", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 28
    assert all(line.startswith("pass  ") for line in lines)
    assert lines[0] == "pass  row_moments: columns are finite float32, one a name (features in bins)"


def test_a_broken_promise_is_a_line_that_names_the_class_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("deviation = X - self.mean_", "deviation = np.cumsum(X - self.mean_, axis=0)"))
    done = nlab("check-plugin", "mine.py", cwd=tmp_path)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert failed[0].startswith("FAIL  row_moments: a row's columns do not depend on other rows (features in bins): ")
    assert "mine.py, line 6: a row's columns depend on the rows that come with it" in failed[0]
    assert "check-plugin: 2 checks of mine.py failed" in done.stderr


def test_random_numbers_of_a_class_that_says_it_draws_none_are_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE.replace("X.mean(0)", "X.mean(0) + rng.normal(size=X.shape[1])", 1))
    done = nlab("check-plugin", "mine.py", cwd=tmp_path)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2
    assert "another seed gives other columns, and the class says `stochastic = False`" in failed[0]
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("    stochastic = False\n", ""))
    assert nlab("check-plugin", "mine.py", cwd=tmp_path).returncode == 0
