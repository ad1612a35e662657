"""Which frozen layers separate the classes of a benchmark, and the method card that adapts the most useful ones."""
