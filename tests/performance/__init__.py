"""What a comparison costs, measured side by side; run by hand, never as tests of time."""
