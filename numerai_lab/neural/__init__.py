"""Networks, losses and the one training loop, in torch. Components import it inside `fit` and `transform` only."""
