"""Studies: grids of settings and the answers they give."""
