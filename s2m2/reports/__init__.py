"""What a person reads after a run: tables, plots, images, the report page, the model card and the page of dataset checks."""
