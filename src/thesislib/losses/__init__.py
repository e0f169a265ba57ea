"""Losses: one function or small module each, with its equation and its source."""
