from al_assets.pictures import png
from al_assets.study.report.canvas import looks_of
from al_assets.study.report.pictures import study_figures
from al_assets.study.report.summary import summarise
from al_assets_tests.support.studies import arm, frame


def test_pictures_of_many_strategies_tell_them_apart() -> None:
    names = ["boundary_pairs", "random", *(f"strategy {number}" for number in range(16))]
    looks = looks_of(names, "boundary_pairs").values()
    assert len({(look.colour, look.marker, look.line) for look in looks}) == len(names)
    figures = study_figures(summarise(frame(*(arm(name, 0.4, 2) for name in names))))
    (panel,) = figures["curves_kappa"].axes
    assert set(names) <= {line.get_label() for line in panel.lines}
    assert png(figures["curves_kappa"]).startswith(b"\x89PNG")
