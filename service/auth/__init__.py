"""Accounts, their API keys, and their quotas."""
