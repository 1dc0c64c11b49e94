"""The stages that recipes are made of, in the order in which they run."""

STAGES = {
    "corpus": "source code -> snippets, duplicates and unclear licences left out",
    "pairs": "snippets -> requests with a chosen and several rejected answers",
    "base": "a tokenizer and a small network with random weights",
    "warmup": "language modelling alone, for a base from scratch",
    "pretrain": "ranking and language-model loss on pairs",
    "hard_pairs": "pairs that differ in little and name nothing",
    "harden": "pretraining goes on, on those",
    "calibrate": "mean, spread and temperature of raw scores on a split of their own",
    "evaluate": "accuracy on groups that no stage has seen, beside its baselines",
    "publish": "the release directory, its manifest last",
}
"""Told apart from the recipes, so that `--help` imports none of them."""
