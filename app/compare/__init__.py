"""Compare: one scan as all models that analysed it see it."""
