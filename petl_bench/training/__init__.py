"""One run: ``run.py`` reads from top to bottom, the other rooms are what it leans on."""
