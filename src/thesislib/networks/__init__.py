"""Networks: the thesis's own, each constructor reading like the figure it comes from."""
