"""What methods cost: operations, speed and memory of a training step, measured and kept."""
