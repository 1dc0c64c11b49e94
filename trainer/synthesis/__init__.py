"""Make pairs with language models: one describes code, a strong and a weak one answer to that."""
