"""One module per change of the tables, each applied once and in order."""
