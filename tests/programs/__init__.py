"""bgrd, its lanes and a file system, altered so that a test can disturb them; each is started as a program."""
