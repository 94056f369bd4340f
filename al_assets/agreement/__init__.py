"""How far raters and models agree, how sure that is, and when the loop should stop: arrays in, figures out."""
