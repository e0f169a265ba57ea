"""Protocols: what is measured, on whom, with which draws and intervals."""
