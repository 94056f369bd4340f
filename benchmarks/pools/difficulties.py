"""How hard generated pools are, by name."""

from dataclasses import replace

from benchmarks.pools.pool_model import Difficulty

# Found by hand and by random search, so that pools measure what ``real_figures`` says; docs/pools.md has the table.
_REAL = Difficulty(
    cone=0.23, between=0.35, within=0.38, noise=0.72, own_noise=0.33, topic_noise=0.22, story=4, closest=0.85,
    directions=4, spectrum=0.53, knee=12, boundary_topics=0.57, signal=0.031, common=0.95, lean=0.05, steepness=2.6,
    curvature=0.3, uneven=0.1, stray=0.16, pure=0.05, alike=0.5, reading=0.5,
)  # fmt: skip

DIFFICULTIES = {
    "real": _REAL,
    # Blobs that stand apart and labels that hardly err: what benchmarks often use, for comparison.
    "easy": replace(
        _REAL, between=1.0, noise=0.25, own_noise=0.1, topic_noise=0.0, within=0.5, signal=0.4, lean=0.0, common=0.3,
        boundary_topics=0.2, steepness=4.0, stray=0.02, alike=0.1,
    ),
}  # fmt: skip
"""``real``: like MiniLM embeddings of short texts. ``easy``: far easier than any real text."""
