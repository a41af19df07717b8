"""Opening a store of 6 GB: read through the first time, and then not again while its files stay as they are.

Asked: less than a second the second time. Run with `make bench`.
"""

import time
from pathlib import Path

import numpy as np

from numerai_lab.storage.checksums import FOLDER, SETTLING_SECONDS, KnownChecksums
from numerai_lab.storage.era_content import row_sums
from numerai_lab.storage.era_store import Store, create_features, remove_damaged, write_store

N_ERAS, ROWS_PER_ERA, N_FEATURES = 500, 5_000, 2_400
ASKED = 1.0
"""Seconds."""


def test_a_store_is_read_through_at_its_first_opening_alone(tmp_path: Path) -> None:
    folder, n_rows = tmp_path / "stores" / "rows", N_ERAS * ROWS_PER_ERA
    folder.mkdir(parents=True)
    features = create_features(folder, n_rows, N_FEATURES, "int8")
    features[::1000] = 1
    ends = ROWS_PER_ERA * np.arange(1, N_ERAS + 1)
    ids = np.char.mod("n%015d", np.arange(n_rows)).astype(np.bytes_)
    sums = [row_sums(features[end - ROWS_PER_ERA : end], ids[end - ROWS_PER_ERA : end]) for end in ends]
    del features
    bounds = np.column_stack([ends - ROWS_PER_ERA, ends])
    arrays = {"ids": ids, "eras": np.arange(1, N_ERAS + 1), "bounds": bounds, "era_sums": np.array(sums, np.uint32)}
    write_store(folder, arrays, {})
    time.sleep(SETTLING_SECONDS)
    seconds = {}
    for name, trusted in (("first", True), ("second", True), ("with --verify", False)):
        start = time.perf_counter()
        remove_damaged(Store(folder), KnownChecksums(tmp_path, trusted))
        seconds[name] = time.perf_counter() - start
    size = Store(folder).n_bytes / 1e9
    print(f"a store of {size:.1f} GB: " + ", ".join(f"{value:.3f} s {name}" for name, value in seconds.items()))
    print(f"ratio {seconds['second'] / ASKED:.3f}")
    assert Store(folder).folder.is_dir()
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
    assert seconds["second"] < ASKED
