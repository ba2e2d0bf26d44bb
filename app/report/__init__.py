"""A report on one case: what a reader saw and said, as one file."""
