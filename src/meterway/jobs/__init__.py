"""Durable jobs: work that goes on after its request was answered, and the events it tells."""
