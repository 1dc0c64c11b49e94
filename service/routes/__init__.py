"""One file per dialect, each a thin translation to `Scorer` and back."""
