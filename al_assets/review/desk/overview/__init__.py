"""Pages for those who are not raters: adjudication, the policy owner's page, the dashboard, and live updates."""
