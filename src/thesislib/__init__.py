"""hand2vec: the networks, losses, protocols and data behind a thesis you can rerun."""

import os

__version__ = "0.1.0"

# Waiting threads sleep instead of spinning. On a machine that does anything else, spinning made a training step
# of two threads six times slower than one thread; it must be said before torch loads its thread pool.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
