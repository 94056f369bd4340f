"""Who may use the desk: people and their roles, invitations, sessions, and the log of privileged acts."""
