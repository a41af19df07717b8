"""New eras that are made several at once: as many as a pass holds, and as a whole again where a killed try stopped."""

from pathlib import Path

import numpy as np
import pytest

from numerai_lab.augmenters import AUGMENTERS
from numerai_lab.core.progress import no_progress
from numerai_lab.core.training_stream import TrainingStream
from numerai_lab.fitting.materialized import FEATURES, make
from numerai_lab.storage.resumable import JOURNAL
from tests.conftest import component, make_panel


def test_passes_hold_the_rows_that_they_may_and_are_made_again_as_a_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = make_panel(n_eras=6)  # of 40 rows
    fitted = component("covariance_path").fit(panel, np.random.default_rng(0))
    stream = TrainingStream(panel, ("raw",), panel.raw_names, 0, {"new": fitted}, last_era=6)
    passes: list[list[int]] = []
    kind = AUGMENTERS["covariance_path"]
    plain = kind.invent_together
    monkeypatch.setattr(
        kind, "invent_together", lambda self, numbers, *rest: passes.append(numbers) or plain(self, numbers, *rest)
    )
    (tmp_path / "alone").mkdir()
    make(tmp_path / "alone", stream, "new", no_progress)
    assert passes == []
    monkeypatch.setattr(kind, "rows_a_pass", 130)
    (tmp_path / "together").mkdir()
    make(tmp_path / "together", stream, "new", no_progress)
    assert passes == [[0, 1, 2], [3, 4, 5]]
    wanted = (tmp_path / "alone" / FEATURES).read_bytes()
    assert (tmp_path / "together" / FEATURES).read_bytes() == wanted
    journal = tmp_path / "together" / JOURNAL
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:5]))
    passes.clear()
    make(tmp_path / "together", stream, "new", no_progress)
    assert passes == [[3, 4, 5]]
    assert (tmp_path / "together" / FEATURES).read_bytes() == wanted
