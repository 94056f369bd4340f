"""Where one person decides what raters disagree about."""
