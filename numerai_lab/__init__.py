"""The laboratory that finds out whether unsupervised features and synthetic rows make Numerai models better."""

__version__ = "0.1.0"
