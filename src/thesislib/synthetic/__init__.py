"""Data made from numbers: hands, letters, characters and clips that need no download."""
