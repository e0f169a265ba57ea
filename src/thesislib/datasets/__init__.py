"""Real data sets in their official layouts, and the splits into seen and unseen parts."""
