from al_assets.study.report.wording import decimal, p_value, times, two_digits


def test_numbers_are_said_in_the_house_style() -> None:
    assert [decimal(value) for value in (0.474, -0.03, 1, -0.001, None)] == [".47", "-.03", "1.00", ".00", ""]
    assert [decimal(value, sign=True) for value in (0.474, -0.03, 0.0)] == ["+.47", "-.03", "+.00"]
    assert [two_digits(value) for value in (46.4, 781, 1_874, 98_700)] == ["46", "780", "1,900", "99,000"]
    assert [times(value) for value in (0.31, 9.94, 9.96, 1_200)] == ["0.3", "9.9", "10", "1,200"]
    assert [p_value(value) for value in (0.0004, 0.004, 0.21, 1.0, None)] == ["< .001", ".004", ".21", "1.00", ""]
