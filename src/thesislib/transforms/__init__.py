"""Augmentation of whole batches on the device they live on; every image gets its own random draw."""
