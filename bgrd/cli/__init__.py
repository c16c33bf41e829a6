"""The command line: argv to Settings to one call; errors to exit codes."""
