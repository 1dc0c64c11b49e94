from trainer.recipes import open_recipe


def test_it_differs_from_the_7b_in_base_rate_and_name_alone() -> None:
    small, large = open_recipe("codepmp_qwen2_1_5b"), open_recipe("codepmp_qwen2_7b")
    same = large.changed("pretrain", start="Qwen/Qwen2-1.5B", learning_rate=3e-6)
    release = small["publish"].config
    same = same.changed("publish", name=release.name, command=release.command)
    assert same.stages == small.stages
    assert release.name == "codepmp-qwen2-1-5b"
    assert "--recipe codepmp_qwen2_1_5b" in release.command
