"""The synthetic newborn-like cohort."""

REFERENCE_BRAIN = "synthetic newborn, 40 weeks"  # what preparations call its reference
