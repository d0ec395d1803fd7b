"""What the gallery's sections share."""

COLUMNS = 5
"""Pictures in a row, at least: every picture of the page has about one size."""
