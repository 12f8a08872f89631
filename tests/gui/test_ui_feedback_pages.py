from rlhf_desktop.ui.feedback.pages import Pages


def make(total, **more):
    asked = []
    pages = Pages(lambda number, offset, size: asked.append((number, offset)), total, **more)

    def answer():
        number, offset = asked[-1]
        return pages.deliver(number, list(range(offset, min(offset + pages.page_size, total))))

    return pages, asked, answer


def test_a_page_is_asked_for_once_and_shown_when_it_arrives():
    pages, asked, answer = make(1_000_000)
    assert pages.row(0) is None
    assert pages.row(99) is None
    assert asked == [(0, 0)]
    assert answer() == range(0, 100)
    assert (pages.row(0), pages.row(99)) == (0, 99)


def test_old_pages_are_dropped_and_asked_for_again():
    pages, asked, answer = make(1_000_000, keep=2)
    for index in (0, 999_999, 500):
        pages.row(index)
        answer()
    assert pages.row(999_999) == 999_999
    assert pages.row(0) is None
    assert [number for number, _ in asked] == [0, 9999, 5, 0]


def test_rows_that_vanished_are_none():
    pages, asked, _answer = make(3)
    pages.row(1)
    pages.deliver(0, [])
    assert pages.row(1) is None
    assert pages.row(3) is None
    assert len(asked) == 1
