"""The demo: its texts and their human ratings, its models, and the experts simulated from those ratings."""
