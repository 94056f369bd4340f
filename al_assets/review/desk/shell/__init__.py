"""What every page of the desk stands in: the application and its server, templates, roles, the way in, live updates."""
