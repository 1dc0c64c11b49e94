"""This server beside vLLM and a plain server, over HTTP."""
