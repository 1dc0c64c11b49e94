"""Labels from execution: problems, samples of a policy, programs run, votes counted, pairs made."""
