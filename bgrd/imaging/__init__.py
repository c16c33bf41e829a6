"""Pure functions on Pillow images and numpy arrays: no paths, no configuration, no logging."""
