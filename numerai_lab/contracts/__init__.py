"""What every generator, augmenter and model promises, as checks on a few rows.

The suite runs them over every registered kind, `nlab check-plugin` over a user's, and a run over those of plug-ins before any
training. A check returns a sentence that says what is broken, empty where nothing is.
"""
