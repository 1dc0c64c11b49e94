"""Hostile requests against a served model: does it stay alive, small and useful to others?"""
