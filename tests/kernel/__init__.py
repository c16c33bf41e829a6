"""What the kernel is told, and what it tells: mounts, limits, processes, calls that fail."""
