"""What mixing and self-supervision do to a representation, measured on a trained backbone."""
