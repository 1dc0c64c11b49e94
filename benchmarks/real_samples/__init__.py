"""Judges releases on answers that language models really wrote, labelled by running them."""
