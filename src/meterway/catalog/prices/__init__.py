"""The price book's rows: how they are read, set, and brought in line with what ships."""
