"""What the processes of a running gateway are made of: the parent, its children, their wiring."""
