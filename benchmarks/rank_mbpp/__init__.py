"""Whether the reference solution of an MBPP problem comes first among eight."""
