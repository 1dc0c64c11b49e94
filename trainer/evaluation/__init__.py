"""What a checkpoint is worth: on pairs held out, and on other people's tasks."""
