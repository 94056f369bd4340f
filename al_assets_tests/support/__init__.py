"""What tests share: small loops and pools, policies, servers, browsers, and what pytest is told."""

from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
