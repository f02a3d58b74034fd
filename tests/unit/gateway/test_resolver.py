"""What the host's resolver says is looked at each time, whatever it said before."""

from __future__ import annotations

import select
import threading

from _bldr_launcher.gateway.resolver import Answer, NoSuchNameError, Resolver


def ask(resolver: Resolver, name: str, *, private: bool = False) -> Answer:
    answers: list[Answer] = []
    resolver.ask(name, answers.append, private=private)
    while not answers:
        assert select.select([resolver.fileno()], [], [], 20)[0]
        resolver.finish()
    return answers[0]


def test_forbidden_addresses_are_left_out_and_named_when_there_are_no_others() -> None:
    table = {"mixed": ["127.0.0.1", "1.2.3.4", "10.0.0.1"], "evil": ["169.254.169.254"], "inner": ["10.0.0.1"]}
    resolver = Resolver(table.__getitem__)

    assert ask(resolver, "mixed").addresses == ["1.2.3.4"]
    assert ask(resolver, "mixed", private=True).addresses == ["1.2.3.4", "10.0.0.1"]
    evil = ask(resolver, "evil", private=True)
    assert (evil.addresses, evil.code) == ([], "forbidden")
    assert "169.254.169.254, a link-local address" in evil.failure
    assert ask(resolver, "inner").code == "forbidden"
    assert ask(resolver, "inner", private=True).addresses == ["10.0.0.1"]


def test_a_name_that_changes_its_address_later_is_looked_at_again() -> None:
    """DNS rebinding: the first answer is harmless, the next one is not."""
    answers = [["1.2.3.4"], ["127.0.0.1"]]
    resolver = Resolver(lambda _name: answers.pop(0))

    assert ask(resolver, "evil").addresses == ["1.2.3.4"]
    assert ask(resolver, "evil").addresses == ["1.2.3.4"]  # kept, not asked for again
    resolver._known.clear()
    assert ask(resolver, "evil").code == "forbidden"


def test_many_who_ask_at_the_same_time_cause_one_look_up() -> None:
    calls: list[str] = []
    gate = threading.Event()

    def lookup(name: str) -> list[str]:
        calls.append(name)
        gate.wait(20)
        return ["1.2.3.4"]

    resolver = Resolver(lookup)
    answers: list[Answer] = []
    for _ in range(5):
        resolver.ask("a", answers.append, private=False)
    gate.set()
    while len(answers) < 5:
        assert select.select([resolver.fileno()], [], [], 20)[0]
        resolver.finish()

    assert calls == ["a"]


def test_more_names_than_can_be_looked_up_at_once_wait_for_their_turn() -> None:
    resolver = Resolver(lambda _name: ["1.2.3.4"])
    answers: list[Answer] = []
    for number in range(50):
        resolver.ask(f"n{number}", answers.append, private=False)
    while len(answers) < 50:
        assert select.select([resolver.fileno()], [], [], 20)[0]
        resolver.finish()


def test_a_name_that_does_not_exist_is_told_from_a_resolver_that_fails() -> None:
    def lookup(name: str) -> list[str]:
        raise {"missing": NoSuchNameError(), "broken": OSError(-3, "try again"), "odd": ValueError("odd")}[name]

    resolver = Resolver(lookup)

    assert [ask(resolver, name).code for name in ("missing", "broken", "odd")] == ["missing", "failed", "failed"]
    assert "try again" in ask(resolver, "broken").failure
    assert ask(Resolver(lambda _name: []), "empty").code == "missing"
