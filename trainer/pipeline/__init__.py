"""Everything that stages share: running them, their manifests, and the type of a recipe."""
