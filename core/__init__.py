"""Fontanelle: unsupervised abnormality review of newborn brain MRI. Research software, no medical device."""

__version__ = "0.1.0"
