"""The stages that recipes are made of, in the order in which they run."""

STAGES = {
    "corpus": "source code -> snippets, duplicates and unclear licenses left out",
    "pairs": "snippets -> requests with a chosen and several rejected answers",
    "strong_lm": "a small language model that describes code and writes it",
    "weak_lm": "a smaller one that only writes it",
    "describe": "snippets -> requests, by a language model",
    "strong": "requests -> answers of the stronger model: chosen",
    "weak": "requests -> answers of the weaker one: rejected",
    "llm_pairs": "both sides -> pairs, filtered",
    "base": "a tokenizer and a small network with random weights",
    "warmup": "language modelling alone, for a base from scratch",
    "pretrain": "ranking and language-model loss on pairs",
    "hard_pairs": "pairs that differ in little and name nothing",
    "harden": "pretraining goes on, on those",
    "preferences": "preference data of other makers -> pairs",
    "finetune": "the ranking loss on preferences",
    "calibrate": "mean, spread and temperature of raw scores on a split of their own",
    "evaluate": "accuracy on groups that no stage has seen, beside its baselines",
    "publish": "the release directory, its manifest last",
}
"""Told apart from the recipes, so that `--help` imports none of them."""
