"""Folds of the training eras: every neighbour of what is predicted is left out."""

import pytest

from numerai_lab.basics import NlabError
from numerai_lab.folds import CrossValidation, make_folds

ERAS = tuple(range(1, 101))


def test_blocked_folds_train_on_both_sides_beyond_the_embargo() -> None:
    folds = make_folds(CrossValidation(folds=4, scheme="blocked", embargo=12), ERAS, 20)
    assert [(fold.val1[0], fold.val1[-1]) for fold in folds] == [(1, 25), (26, 50), (51, 75), (76, 100)]
    assert folds[1].train == (*range(1, 14), *range(63, 101))
    assert folds[0].train == tuple(range(38, 101))
    assert [fold.name_of(era) for fold in folds for era in fold.val1[:1]] == ["cv1", "cv2", "cv3", "cv4"]


def test_expanding_folds_never_train_on_what_comes_later() -> None:
    folds = make_folds(CrossValidation(folds=4, scheme="expanding"), ERAS, 20)
    assert [(fold.val1[0], fold.val1[-1]) for fold in folds] == [(21, 40), (41, 60), (61, 80), (81, 100)]
    assert [fold.train for fold in folds] == [tuple(range(1, last)) for last in (13, 33, 53, 73)]


def test_the_embargo_follows_the_horizon_and_is_lowered_only_knowingly() -> None:
    assert make_folds(CrossValidation(folds=2, scheme="blocked"), ERAS, 60)[0].train == tuple(range(67, 101))
    with pytest.raises(NlabError, match=r"cv\.embargo: 4 eras, but a 20-day target needs 8"):
        make_folds(CrossValidation(embargo=4), ERAS, 20)
    with pytest.raises(NlabError, match=r"set data.horizon_days, or cv\.embargo"):
        make_folds(CrossValidation(), ERAS, None)


def test_folds_that_leave_nothing_to_learn_from_are_refused() -> None:
    with pytest.raises(NlabError, match=r"fold 1 of 20 has 0 eras to learn from"):
        make_folds(CrossValidation(folds=20), ERAS, 20)
    with pytest.raises(NlabError, match="take fewer folds"):
        make_folds(CrossValidation(folds=40, scheme="blocked"), ERAS[:30], 20)
