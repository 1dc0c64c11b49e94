"""The stages that recipes are made of, in the order in which they run."""

# This list is apart from the recipes, so that `--help` imports neither them nor torch.
STAGES = {
    "commits": "a clone -> functions after a commit over those before it",
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
    "start": "the policy that rounds begin with",
    "problems": "problems of public data sets, with tests that judge programs or answers",
    "inputs": "problems -> test inputs, asked of a language model or taken from given tests",
    "samples": "problems -> several answers of a policy to each",
    "runs": "samples and test inputs -> what every program did on every input",
    "votes": "what programs put out -> expected outputs, and tests that each sample passes",
    "policy_pairs": "pass counts -> pairs of a policy's answers, by a rule",
    "prefixes": "samples -> their beginnings, cut at some of their line ends",
    "completions": "prefixes -> answers that the policy goes on to write from them",
    "process_pairs": "completed prefixes -> a promising prefix over one that leads nowhere",
    "step_labels": "completed prefixes -> labels of steps, for step reward models",
    "mutants": "programs that pass -> the same with one change each, which may fail",
    "mutation_labels": "mutants that fail -> labels of steps, for step reward models",
    "preferences": "preference data in public formats -> pairs",
    "finetune": "finetuning with the ranking loss on preferences",
    "dpo": "policy rows -> a policy, by direct preference optimization",
    "token_weights": "pairs and two contrasted policies -> weights of the answers' tokens",
    "gate": "a round's policy is accepted or refused on a labelled probe",
    "calibrate": "mean, spread and temperature of raw scores on the calibration split",
    "evaluate": "accuracy on held-out groups, beside baselines",
    "policy_report": "pass@k, accuracy and best-of-N of policies, beside the start's",
    "publish": "the release directory",
}


def kind_of(stage: str) -> str:
    """The stage of the list above that a recipe's stage is one of.

    Recipes with rounds or several arms add a suffix, as in `samples_2` or `dpo_given`. Returns the
    name itself where there is no such stage.
    """
    kind = stage
    while kind not in STAGES:
        kind, _, suffix = kind.rpartition("_")
        if not suffix:
            return stage
    return kind
