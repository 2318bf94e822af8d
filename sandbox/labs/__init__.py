"""The labs: one folder each, read into a frozen record."""
