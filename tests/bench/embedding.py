"""What an embedding keeps of the neighbourhoods it was made from."""

from collections.abc import Sequence

import numpy as np
import torch


def neighbours_kept(features: np.ndarray, embeddings: Sequence[np.ndarray], k: int = 15) -> np.ndarray:
    """Trustworthiness and share of the k nearest neighbours kept, an embedding a row; all rows against all, in blocks."""
    n = len(features)
    raw = torch.from_numpy(features).float()
    points = [torch.from_numpy(each) for each in embeddings]
    excess, kept = np.zeros(len(points)), np.zeros(len(points))
    for start in range(0, n, 500):
        rows = torch.arange(start, min(n, start + 500))
        far = torch.cdist(raw[rows], raw)
        far[torch.arange(len(rows)), rows] = -1
        for i, each in enumerate(points):
            near = torch.cdist(each[rows], each)
            near[torch.arange(len(rows)), rows] = torch.inf
            chosen = far.gather(1, near.topk(k, dim=1, largest=False).indices)
            ranks = torch.stack([(far < chosen[:, j : j + 1]).sum(1) for j in range(k)], 1)  # 1 = the nearest other row
            excess[i] += (ranks - k).clamp_min(0).sum().item()
            kept[i] += (ranks <= k).sum().item()
    return np.column_stack([1 - 2 * excess / (n * k * (2 * n - 3 * k - 1)), kept / (n * k)])


def factors_r2(columns: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """R² of planted factors, linear in the columns, learned on every other row; what each of the rest adds to the mean."""
    design = np.column_stack([columns, np.ones(len(columns))]).astype(np.float64)
    weights = np.linalg.lstsq(design[::2], factors[::2], rcond=None)[0]
    rest = factors[1::2]
    left: np.ndarray = ((rest - design[1::2] @ weights) ** 2).sum(1)
    return 1 - left / ((rest - rest.mean(0)) ** 2).sum(1).mean()
