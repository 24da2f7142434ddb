"""Implementations of the transport seam: our own HTTP/1.1 pool, and reqwest behind proxies."""
