"""Work of an hour is not done twice: what a first start finished stays in a file."""

from __future__ import annotations

import pytest

from benchmarks.side_by_side import side_by_side_kept


def test_a_second_start_does_only_what_is_missing(tmp_path):
    asked, kept = [], tmp_path / "answers"

    def halved(task: tuple[str, int]) -> int:
        asked.append(task)
        return 60 // task[1]

    tasks = [("a", 1), ("a", 2), ("a", 0), ("a", 3)]
    with pytest.raises(ZeroDivisionError):
        list(side_by_side_kept(halved, tasks, 1, kept))
    answers = list(side_by_side_kept(halved, [("a", 3), *tasks[:2]], 1, kept))
    assert answers == [20, 60, 30]
    assert asked == [("a", 1), ("a", 2), ("a", 0), ("a", 3)]
