"""One file or folder for each dialect: a thin translation to `Scorer` and back."""
