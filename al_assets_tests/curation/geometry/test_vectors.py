import pickle
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from al_assets.curation.geometry.vectors import Vectors, _widen
from al_assets_tests.support.pools import unit


def rows(items: int = 3_000, dimensions: int = 24, seed: int = 0) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).normal(size=(items, dimensions)))


def test_one_vector_for_each_item() -> None:
    with pytest.raises(ValueError, match=r"vectors: shape \(2, 3\); expected \(4, dimensions\)"):
        Vectors.of(np.eye(3)[:2], 4)
    with pytest.raises(ValueError, match=r"vectors: shape \(3,\)"):
        Vectors(np.ones(3))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_lengths_are_repaired(dtype: type[np.floating]) -> None:
    source = rows().astype(dtype)
    source[5] *= dtype(1.005)
    taken = Vectors(source).take(np.arange(len(source)))
    assert taken.dtype == np.float32
    assert np.linalg.norm(taken, axis=1) == pytest.approx(1, abs=1e-6)
    assert np.allclose(taken, rows(), atol=1e-3)


def test_every_float16_is_widened_exactly() -> None:
    every = np.arange(65_536, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)][:, None]
    out = np.empty(finite.shape, dtype=np.float32)
    _widen(finite, np.ones(len(finite), dtype=np.float32), out)
    assert np.array_equal(out, finite.astype(np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_is_not_finite_is_counted(bad: float, dtype: type[np.floating]) -> None:
    source = rows().astype(dtype)
    source[[3, 2_900], 2] = bad
    with pytest.raises(ValueError, match="vectors: 2 of 3000 rows hold NaN or infinity"):
        Vectors(source)


@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0, 1_000.0])
def test_what_is_not_of_length_one_is_counted(factor: float) -> None:
    source = rows().astype(np.float16)
    source[7] *= np.float16(factor)
    with pytest.raises(ValueError, match="vectors: 1 of 3000 rows are not of length 1"):
        Vectors(source)


def test_views_read_the_rows_they_name() -> None:
    vectors = Vectors(rows())
    some = np.array([5, 2_500, 5, 0])
    view = vectors.view(some)
    assert view.shape == (4, 24)
    assert np.array_equal(view.take(slice(None)), vectors.take(some))
    assert np.array_equal(view.view(np.array([1, 3])).take(np.arange(2)), vectors.take(np.array([2_500, 0])))
    assert np.array_equal(view.take(np.array([True, False, False, True])), vectors.take(np.array([5, 0])))
    assert len(vectors) == 3_000


def test_blocks_are_all_rows_in_order() -> None:
    vectors = Vectors(rows())
    places, blocks = zip(*vectors.blocks(700), strict=True)
    assert [place.start for place in places] == [0, 700, 1_400, 2_100, 2_800]
    assert np.array_equal(np.concatenate(blocks), vectors.take(np.arange(3_000)))


def test_a_memory_map_travels_as_its_name(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", rows(50_000).astype(np.float16))
    mapped = Vectors(np.load(tmp_path / "v.npy", mmap_mode="r"))
    sent = pickle.dumps(mapped.view(np.arange(10)))
    assert len(sent) < 50_000 * 24 * 2 / 4
    assert np.array_equal(pickle.loads(sent).take(slice(None)), mapped.take(np.arange(10)))
    part = Vectors(np.load(tmp_path / "v.npy", mmap_mode="r")[10:90:2])
    assert np.array_equal(pickle.loads(pickle.dumps(part)).take(slice(None)), part.take(slice(None)))
    in_memory = Vectors(rows())
    assert np.array_equal(pickle.loads(pickle.dumps(in_memory)).take(slice(9)), in_memory.take(slice(9)))
