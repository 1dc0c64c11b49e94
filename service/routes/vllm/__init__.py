"""The routes of a vLLM server for reward models."""
