"""Images as datasets of bytes, how they come from disk, and index sampling. No networks."""
