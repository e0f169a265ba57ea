"""Figures: one named function each; they read records and arrays and never train."""
