"""Figures of tables: a module per kind, whose ``draw`` makes the figures of one table.

``petl-bench plot KIND`` loads the module of that name.
"""
