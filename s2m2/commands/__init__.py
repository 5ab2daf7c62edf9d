"""What the command line calls: thin functions that call the package and print what it returns."""
