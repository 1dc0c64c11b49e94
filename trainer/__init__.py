"""The offline trainer: source code in, a released reward model out."""
