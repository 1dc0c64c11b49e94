"""Questions in, raw scores out: a network in this process, or a service behind HTTP."""
