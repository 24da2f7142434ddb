"""Users: who owns keys, who administers, who pays later."""
