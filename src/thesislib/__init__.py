"""hand2vec: the networks, losses, protocols and data behind a thesis you can rerun."""

import ctypes
import os

__version__ = "0.1.0"

# Waiting threads sleep instead of spinning. On a machine that does anything else, spinning made a training step
# of two threads six times slower than one thread; it must be said before torch loads its thread pool.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# On a CPU a training step frees and asks for the same large blocks again and again. By default the C library
# hands them back to the system each time, and the page faults cost a third of the run. These keep them.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # malloc.h of glibc
try:
    for option, limit in ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 1 << 26)):
        ctypes.CDLL(None).mallopt(option, limit)
except (AttributeError, OSError, TypeError):
    pass  # another C library, whose allocator has no such habit
