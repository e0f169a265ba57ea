"""Experiments, one module each: a frozen Config in, a record out."""
