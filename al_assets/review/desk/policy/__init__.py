"""The policy owner's pages: what raters could not decide, and new versions of the policy."""
