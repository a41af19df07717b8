"""Trees of XGBoost, LightGBM and CatBoost as arrays, from the files that the libraries save."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from numerai_lab.core.arrays import Array
from numerai_lab.core.errors import NlabError

ZERO_AS_MISSING = 4
"""In LightGBM's decision type, the bit that sends zeros where missing values go; the lowest bit marks a categorical split."""


def xgboost_trees(content: bytes) -> dict[str, Any]:
    """The trees of a model that XGBoost saved as JSON, of one output. Raises NlabError for what arrays of trees can't hold."""
    learner = json.loads(content)["learner"]
    booster, facts = learner["gradient_booster"], learner["learner_model_param"]
    weights = booster.get("weight_drop")
    trees = booster.get("gbtree", booster)["model"]["trees"]
    if int(facts.get("num_target", 1)) > 1 or int(facts["num_class"]) > 0:
        raise NlabError("XGBoost with several outputs can't be deployed; train a model for each target")
    # Since 3.1 it is a list of one number, in exponential notation: "[4.9E-1]", which 3.0 silently reads as .5.
    start = np.float32(str(facts["base_score"]).strip("[]"))
    parts = []
    for i, tree in enumerate(trees):
        if any(tree["split_type"]):
            raise NlabError("XGBoost with categorical splits can't be deployed")
        left, leaf = np.array(tree["left_children"]), np.array(tree["left_children"]) < 0
        values = np.array(tree["split_conditions"], np.float32)
        # With dart, XGBoost predicts tree by tree from the start, and takes the start off again before it weighs a tree.
        added = values if weights is None else ((start + values) - start) * np.float32(weights[i])
        parts.append(
            _tree(
                feature=np.where(leaf, 0, tree["split_indices"]),
                threshold=np.where(leaf, np.float32(0), values),
                left=np.where(leaf, np.arange(len(leaf)), left),
                right=np.where(leaf, np.arange(len(leaf)), tree["right_children"]),
                value=np.where(leaf, added, np.float32(0)),
            )
        )
    return {"start": start, "below": True, **_side_by_side(parts)}


def lightgbm_trees(content: bytes) -> dict[str, Any]:
    """The trees of a model that LightGBM saved as text, of one output. Raises NlabError for what arrays of trees can't hold."""
    head, *blocks = re.split(r"\nTree=\d+\n", content.decode().split("\nend of trees")[0])
    if "average_output" in head.splitlines() or "num_tree_per_iteration=1" not in head.splitlines():
        raise NlabError(
            "LightGBM with several outputs, or as a random forest, can't be deployed; train boosted trees of one target"
        )
    return {"start": np.float64(0), "below": False, **_side_by_side([_lightgbm_tree(block) for block in blocks])}


def _lightgbm_tree(block: str) -> dict[str, Array]:
    """One tree. Inner nodes come first, then leaves, which LightGBM counts as −1, −2 …"""
    facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    if facts.get("is_linear", "0") != "0" or int(facts["num_cat"]):
        raise NlabError("LightGBM with linear leaves or categorical splits can't be deployed")
    n_inner = int(facts["num_leaves"]) - 1
    kinds = _numbers(facts, "decision_type", n_inner, np.int64)
    if (kinds & ZERO_AS_MISSING).any():
        raise NlabError("LightGBM with zero_as_missing can't be deployed")
    leaves = n_inner + np.arange(n_inner + 1)
    sides = [_numbers(facts, side, n_inner, np.int64) for side in ("left_child", "right_child")]
    left, right = (np.concatenate([np.where(side < 0, n_inner - 1 - side, side), leaves]) for side in sides)
    padding = np.zeros(n_inner + 1)
    return _tree(
        feature=np.concatenate([_numbers(facts, "split_feature", n_inner, np.int64), padding.astype(np.int64)]),
        threshold=np.concatenate([_numbers(facts, "threshold", n_inner, np.float64), padding]),
        left=left,
        right=right,
        value=np.concatenate([padding[:n_inner], _numbers(facts, "leaf_value", n_inner + 1, np.float64)]),
    )


def _numbers(facts: Mapping[str, str], name: str, n: int, dtype: type) -> Array:
    """A line of numbers; empty where a tree is one leaf, which then lacks the line."""
    return np.array(facts[name].split(), dtype) if n else np.empty(0, dtype)


def _tree(feature: Array, threshold: Array, left: Array, right: Array, value: Array) -> dict[str, Array]:
    """A tree whose root is node 0, with the number of splits on its longest way."""
    depth, level = 0, np.array([0])
    while len(level := np.concatenate([left[level], right[level]])[np.tile(left[level] != level, 2)]):
        depth += 1
    arrays = {"feature": feature, "threshold": threshold, "left": left, "right": right, "value": value}
    return {**arrays, "depth": np.array(depth)}


def _side_by_side(trees: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Trees one after the other, their nodes counted through."""
    sizes = [len(tree["value"]) for tree in trees]
    root = np.cumsum([0, *sizes[:-1]])
    joined = {name: np.concatenate([tree[name] for tree in trees]) for name in ("feature", "threshold", "value")}
    for side in ("left", "right"):
        joined[side] = np.concatenate([tree[side] + first for tree, first in zip(trees, root.tolist(), strict=True)])
    places = {name: joined[name].astype(np.int32) for name in ("feature", "left", "right")}
    depth = np.array([int(tree["depth"]) for tree in trees], np.int32)
    return {**joined, **places, "root": root.astype(np.int32), "depth": depth}


def catboost_trees(content: bytes) -> dict[str, Any]:
    """The trees of a model that CatBoost saved, of one output. Raises NlabError for what arrays of trees can't hold."""
    import catboost

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        catboost.CatBoost().load_model(blob=content).save_model(str(path), format="json")
        model = json.loads(path.read_text(encoding="utf-8"))
    scale, biases = model["scale_and_bias"]
    features = model["features_info"].get("float_features", [])
    if len(biases) > 1 or "oblivious_trees" not in model or model["features_info"].get("categorical_features"):
        raise NlabError("CatBoost with several outputs, categorical features or trees that are not oblivious can't be deployed")
    places = {feature["feature_index"]: feature["flat_feature_index"] for feature in features}
    trees = [_oblivious_tree(tree, scale, places) for tree in model["oblivious_trees"]]
    return {"start": np.float64(biases[0]), "below": False, **_side_by_side(trees)}


def _oblivious_tree(tree: Mapping[str, Any], scale: float, places: Mapping[int, int]) -> dict[str, Array]:
    """A tree with one split a level, the first split being the lowest bit of a leaf's number. Nodes go level by level."""
    splits, values = tree["splits"] or [], np.array(tree["leaf_values"], np.float64) * scale
    depth, n_inner = len(splits), 2 ** len(splits) - 1
    level = np.repeat(np.arange(depth), 2 ** np.arange(depth))
    nodes, order = np.arange(n_inner), np.zeros(1, np.int64)
    for i in range(depth):
        order = np.stack([order, order + 2**i], axis=1).ravel()
    leaves = n_inner + np.arange(n_inner + 1)
    padding = np.zeros(n_inner + 1)
    feature = np.array([places[split["float_feature_index"]] for split in splits], np.int64)
    border = np.array([split["border"] for split in splits], np.float32)
    return _tree(
        feature=np.concatenate([feature[level], padding.astype(np.int64)]),
        threshold=np.concatenate([border[level], padding.astype(np.float32)]),
        left=np.concatenate([2 * nodes + 1, leaves]),
        right=np.concatenate([2 * nodes + 2, leaves]),
        value=np.concatenate([padding[:n_inner], values[order]]),
    )
