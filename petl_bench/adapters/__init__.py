"""Trained adapters: saved with their runs, exported as folders of their own, used on audio files."""
