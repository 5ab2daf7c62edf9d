"""What a person reads after a run: the score table, the plots, the pictures and the page that holds them all."""
