"""Cohorts measured: the paper's tables and figures, localisation where masks exist, baselines, intervals.

``measure`` scores one scan by one scorer, ``cohort`` and ``localisation`` turn rows into data frames,
``figures`` draws them and ``report`` writes the folder.
"""
