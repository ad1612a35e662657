"""Pretraining of a small AST on sounds that the recipe generates itself: no data set, no licence, no contamination."""
