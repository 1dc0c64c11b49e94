"""The stages that recipes are made of, in the order in which they run."""

# This list is apart from the recipes, so that `--help` imports neither them nor torch.
STAGES = {
    "corpus": "source code -> snippets, without duplicates and unclear licenses",
    "pairs": "snippets -> requests with a chosen and several rejected answers",
    "strong_lm": "a small language model that learns to describe and to write code",
    "weak_lm": "a smaller language model that learns only to write code",
    "describe": "snippets -> requests, written by a language model",
    "strong": "requests -> answers of the stronger model, which become chosen",
    "weak": "requests -> answers of the weaker model, which become rejected",
    "llm_pairs": "answers of both models -> filtered pairs",
    "base": "a tokenizer and a small network with random weights",
    "warmup": "language modelling alone, for a base with random weights",
    "pretrain": "pretraining with ranking and language-model loss on pairs",
    "hard_pairs": "snippets -> pairs with small differences and unnamed functions",
    "harden": "further pretraining on the hard pairs",
    "votes": "what programs put out -> expected outputs, and tests that each sample passes",
    "prefixes": "samples -> their beginnings, cut at some of their line ends",
    "process_pairs": "completed prefixes -> a promising prefix over one that leads nowhere",
    "preferences": "preference data in public formats -> pairs",
    "finetune": "finetuning with the ranking loss on preferences",
    "calibrate": "mean, spread and temperature of raw scores on the calibration split",
    "evaluate": "accuracy on held-out groups, beside baselines",
    "policy_report": "pass@k, accuracy and best-of-N of policies, beside the start's",
    "samples": "problems -> several answers of a policy to each",
    "problems": "problems of public data sets, with tests that judge programs or answers",
    "publish": "the release directory",
}
