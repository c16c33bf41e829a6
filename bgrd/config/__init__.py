"""The configuration: text to plain values."""
