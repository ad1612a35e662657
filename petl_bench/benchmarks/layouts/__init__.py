"""Data sets as they are distributed: one file per layout."""
