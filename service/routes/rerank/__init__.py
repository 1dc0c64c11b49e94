"""Rerank requests as Cohere, Jina and vLLM define them."""
