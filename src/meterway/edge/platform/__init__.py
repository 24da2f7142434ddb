"""The platform's own endpoints: health, figures, documentation, version."""
