"""Means with their spread: over draws of prototypes, and over class splits or seeds."""

from collections.abc import Sequence

import numpy as np
from scipy import stats


def over_draws(values: Sequence[float]) -> dict[str, float]:
    """Return mean, standard deviation and the central 95 % of repeated draws: mean, sd, low, high, n."""
    v = np.asarray(values, dtype=float)
    low, high = np.percentile(v, [2.5, 97.5])
    sd = float(v.std(ddof=1)) if len(v) > 1 else 0.0
    return {"mean": float(v.mean()), "sd": sd, "low": float(low), "high": float(high), "n": len(v)}


def of_the_mean(values: Sequence[float]) -> dict[str, float]:
    """Return the mean of independent runs and Student's 95 % interval of it: mean, sd, low, high, n.

    For a paired comparison pass the differences. A single run has no interval: low and high equal the mean.
    """
    v = np.asarray(values, dtype=float)
    mean = float(v.mean())
    if len(v) < 2:
        return {"mean": mean, "sd": 0.0, "low": mean, "high": mean, "n": len(v)}
    sd = float(v.std(ddof=1))
    half = float(stats.t.ppf(0.975, len(v) - 1)) * sd / np.sqrt(len(v))
    return {"mean": mean, "sd": sd, "low": mean - float(half), "high": mean + float(half), "n": len(v)}
