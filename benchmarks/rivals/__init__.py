"""Other libraries' query strategies and this package's own, asked the same question and measured in the same way."""
