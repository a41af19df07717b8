"""From splits to predictions: which eras a fit sees, stages, variants, and what a run will cost."""
