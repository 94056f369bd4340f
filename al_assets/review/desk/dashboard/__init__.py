"""How far the labelling is, how well raters agree, and what the loop waits for."""
