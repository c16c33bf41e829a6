"""Places for a bgrd under test, those who put something there, and those who watch."""
