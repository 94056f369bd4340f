"""What the loop's parts cost and how well they do: each benchmark a function that returns its figures."""
