"""The page on which experts answer: one question at a time, blind, each answer durable before the page says so."""
