"""The command `train`: chooses for a base and a preference file what a recipe needs to know."""
