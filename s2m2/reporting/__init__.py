"""What a person reads after a run: the score table, the plots, the images and the page that holds them all."""
