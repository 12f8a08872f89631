import pytest

from rlhf_desktop.hub.tokens import Secret, TokenKeeper, scrub


class Ring:
    def __init__(self, broken=False):
        self.kept, self.broken = {}, broken

    def get_password(self, service, account):
        if self.broken:
            raise RuntimeError("locked: hf_canarycanary")
        return self.kept.get((service, account))

    def set_password(self, service, account, value):
        if self.broken:
            raise RuntimeError("locked: hf_canarycanary")
        self.kept[service, account] = value

    def delete_password(self, service, account):
        del self.kept[service, account]


@pytest.fixture
def ring(monkeypatch):
    import keyring

    made = Ring()
    for name in ("get_password", "set_password", "delete_password"):
        monkeypatch.setattr(keyring, name, lambda *a, name=name: getattr(made, name)(*a))
    return made


def test_kept_in_the_keyring_across_sessions(ring):
    assert TokenKeeper().keep(" hf_canarycanary ") == "keyring"
    assert TokenKeeper().get() == Secret("hf_canarycanary")
    keeper = TokenKeeper()
    keeper.forget()
    assert keeper.get() is None
    assert ring.kept == {}


def test_without_a_keyring_for_the_session(ring):
    ring.broken = True
    keeper = TokenKeeper()
    assert keeper.get() is None
    assert keeper.keep("hf_canarycanary") == "session"
    assert keeper.get() == Secret("hf_canarycanary")
    assert TokenKeeper().get() is None
    keeper.forget()
    assert keeper.get() is None


def test_each_address_has_its_own(ring):
    TokenKeeper("a").keep("one-one-one")
    assert TokenKeeper("b").get() is None


def test_a_secret_does_not_show_itself():
    secret = Secret("hf_canarycanary")
    assert "canary" not in f"{secret} {secret!r} {[secret]} {(secret,)!s}"


def test_texts_are_scrubbed():
    assert scrub("Bearer hf_canarycanary: sk-canarycanary") == "Bearer hf_…: hf_…"
    assert scrub("half_done") == "half_done"
