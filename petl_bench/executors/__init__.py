"""Where runs are trained: one file per executor."""
