"""hand2vec: the networks, losses, protocols and data behind a thesis you can rerun."""

__version__ = "0.1.0"
