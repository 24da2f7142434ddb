"""The HTTP face: parse a request, make one call, render the answer."""
