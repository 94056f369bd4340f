"""The report of an iteration for people: one HTML page, and every figure traced back to items and votes."""
