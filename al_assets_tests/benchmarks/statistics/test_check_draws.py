from benchmarks.statistics.check_draws import check_draws


def test_items_drawn_where_the_models_differ_tell_most_of_the_gain() -> None:
    cells = check_draws(prevalences=(0.1,), sizes=(90,), loops=12, resamples=0, seed=0)
    first = {cell.drawn: cell.gain.deviation for cell in cells if cell.round == 1}
    assert list(first) == ["none", "by labels", "as audit"]
    assert first["by labels"] < first["none"]
    assert {cell.items for cell in cells} == {0, 90}
    assert all(cell.gain.coverage is None for cell in cells)
    judged = check_draws(prevalences=(0.1,), sizes=(), loops=2, resamples=100, seed=0)
    assert all(cell.gain.coverage is not None for cell in judged)
