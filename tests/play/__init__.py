"""The promise as a model, and the world it is tried in."""
