"""Attacks on every command and file: kills, flipped bits, bad inputs."""
