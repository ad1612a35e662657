"""Following runs as they are trained: one file per tracker."""
