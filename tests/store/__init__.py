"""The store against a real MongoDB, through both drivers, with expectations written by hand."""
