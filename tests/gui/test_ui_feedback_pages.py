from rlhf_desktop.ui.feedback.pages import Pages


def make(total, size=100, **more):
    asked = []
    pages = Pages(lambda number, mark: asked.append((number, mark)), **more)

    def answer():
        number, mark = asked[-1]
        start = mark or 0
        end = min(start + size, total)
        return pages.deliver(number, list(range(start, end)), end if end < total else None)

    return pages, asked, answer


def test_rows_are_known_as_far_as_one_has_looked():
    pages, asked, answer = make(250)
    assert pages.more
    pages.ask_next()
    assert not pages.more  # it is on its way
    assert answer() == range(0, 100)
    assert (pages.total, pages.row(0), pages.row(99), pages.row(100)) == (100, 0, 99, None)
    for _ in range(2):
        pages.ask_next()
        answer()
    assert (pages.total, pages.row(249), pages.more) == (250, 249, False)
    assert asked == [(0, None), (1, 100), (2, 200)]


def test_old_pages_are_dropped_and_asked_for_again_from_where_they_began():
    pages, asked, answer = make(1000, keep=2)
    for _ in range(4):
        pages.ask_next()
        answer()
    assert pages.row(399) == 399
    assert pages.row(150) is None
    assert pages.row(151) is None
    assert asked[-1] == (1, 100)
    assert asked.count((1, 100)) == 2  # at first and once again
    assert answer() == range(100, 200)
    assert pages.row(150) == 150
    assert pages.total == 400


def test_pages_need_not_be_equally_long():
    pages, _asked, _answer = make(0)
    pages.ask_next()
    pages.deliver(0, ["a"], 5)
    pages.ask_next()
    pages.deliver(1, ["b", "c"], None)
    assert [pages.row(n) for n in range(3)] == ["a", "b", "c"]


def test_rows_that_vanished_are_none():
    pages, _asked, _answer = make(0, keep=1)
    pages.ask_next()
    pages.deliver(0, ["a", "b"], 2)
    pages.ask_next()
    pages.deliver(1, ["c"], None)
    assert pages.row(1) is None
    pages.deliver(0, ["a"], 2)
    assert (pages.row(0), pages.row(1)) == ("a", None)
