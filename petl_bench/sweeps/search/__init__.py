"""Searches with Optuna: what is tried, where trials are kept, how they are conducted, and which of them win.

Nothing in this package reads what a run made of test clips.
"""
