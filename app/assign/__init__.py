"""Distributing scans among readers: what to choose from, the plan before it is made, and how far it is."""
