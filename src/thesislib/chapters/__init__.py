"""Experiments: a frozen Config in, a record out; and the stages they share."""
