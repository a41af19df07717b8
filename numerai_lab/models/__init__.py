"""Models: they learn from the training stream. A new one is one file and one line here."""

from numerai_lab.models.base import Model
from numerai_lab.models.boosting import XGBoost
from numerai_lab.models.catboost import CatBoost
from numerai_lab.models.lightgbm import LightGBM
from numerai_lab.models.linear import Ridge
from numerai_lab.models.networks import MLP, TabM
from numerai_lab.models.sklearn import Sklearn

MODELS: dict[str, type[Model]] = {
    "xgboost": XGBoost,
    "lightgbm": LightGBM,
    "ridge": Ridge,
    "mlp": MLP,
    "tabm": TabM,
    "sklearn": Sklearn,
    "catboost": CatBoost,
}

__all__ = ["MODELS", "Model"]
