from datetime import timedelta

from al_assets.review.desk.rating.standing import usual_time
from al_assets_tests.support.desk.boards import NOON


def test_the_pace_is_the_median_without_pauses() -> None:
    seconds = [0, 10, 22, 30, 45, 2_000, 2_012, 2_026]
    moments = [NOON + timedelta(seconds=each) for each in seconds]
    assert usual_time(moments) == timedelta(seconds=12)
    assert usual_time(moments[:5]) is None
    assert usual_time([]) is None
