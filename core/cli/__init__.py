"""Commands of ``python -m core``; each module adds its own to an app of ``core/__main__.py``."""
