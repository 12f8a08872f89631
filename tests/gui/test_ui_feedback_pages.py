from rlhf_desktop.ui.feedback.pages import Pages


def test_pages_are_fetched_once_and_old_ones_dropped():
    asked = []

    def fetch(offset, limit):
        asked.append(offset)
        return list(range(offset, min(offset + limit, 1_000_000)))

    pages = Pages(fetch, 1_000_000, page_size=100, keep=2)
    assert pages.row(0) == 0
    assert pages.row(99) == 99
    assert asked == [0]
    assert pages.row(999_999) == 999_999
    assert pages.row(500) == 500
    assert pages.row(0) == 0  # its page had to go
    assert asked == [0, 999_900, 500, 0]


def test_rows_that_vanished_are_none():
    pages = Pages(lambda offset, limit: [], 3)
    assert pages.row(1) is None
    assert pages.row(3) is None
