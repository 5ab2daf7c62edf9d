"""Optimize a backbone: the objectives of the two stages and the one loop that serves both."""
