"""Where programs that a model wrote are run: behind walls, and graded by nobody inside."""
