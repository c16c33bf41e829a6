"""The lanes: processes that turn one picture into its results at a time."""
