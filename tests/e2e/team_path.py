"""Two people and one project in the real window, by keyboard alone or by mouse alone, kept as pictures.

    xvfb-run -s "-screen 0 1280x800x24" python tests/e2e/team_path.py --by keyboard --out FOLDER [--theme dark] [--scale 1.5]

A tiny random model writes the answers, in the program's own worker. Ada judges in every form that `labelling_path` leaves out
(pairs with strength, groups, thumbs, marks beside a pair). Bo then takes the seat, judges what is shared of hers, blind, looks at
how far they agree, and settles a disagreement. After that: files in with a column mapper, bad rows set aside, files out, a bundle
made, looked through and merged, and an erase that says what has left. What the database holds is checked after each.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit

from rlhf_desktop.app import Desktop
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Ranking
from rlhf_desktop.operations.bundles import export_bundle, merge_bundle
from rlhf_desktop.operations.quality import quality, unsettled
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.theme import tokens as t
from tests.e2e.expert_path import Hand, Keyboard, Mouse
from tests.e2e.labelling_path import PROJECT, fill

Key = Qt.Key
PAIRS = 4  # that both judge


class Team:
    """The path's steps."""

    def __init__(self, hand: Hand, by: str, out: Path) -> None:
        self.hand, self.by, self.out = hand, by, out
        self.context = hand.desktop.context
        self.label, self.feedback = hand.window.room("label"), hand.window.room("feedback")
        self.judging = self.label.presenter.judging

    # --- hands

    def key(self, key: Key, modifier=Qt.KeyboardModifier.NoModifier) -> None:
        """A key to whatever has the focus."""
        QTest.keyClick(QApplication.focusWidget() or self.hand.window, key, modifier)
        self.hand.live(60)

    def do(self, key: Key, button: str) -> None:
        """Something by its key, or by its button."""
        self.key(key) if self.by == "keyboard" else self.hand.press(button)
        self.hand.live(60)

    def field(self, name: str, text: str) -> None:
        """Type into a field, in the place of what it holds."""
        found = next(w for w in self.hand.window.findChildren(QLineEdit) if w.accessibleName() == name and w.isVisible())
        found.setFocus()
        self.key(Key.Key_A, Qt.KeyboardModifier.ControlModifier)
        QTest.keyClicks(found, text)
        self.key(Key.Key_Tab)

    def held(self) -> list:
        """The judgements in effect."""
        return self.context.store.judgements.effective(self.context.session.project.id)

    def item(self) -> None:
        """Until an item is there to judge."""
        self.hand.until(lambda: self.judging.showing is not None)

    def i_am(self, name: str, role: str) -> None:
        """Take the seat."""
        self.hand.room("Settings", Key.Key_7)
        self.field("Your name", name)
        self.field("Your role", role)
        self.hand.live(300)

    def ask(self, name: str, **changes) -> None:
        """What is asked: a preset from the form, changed."""
        if self.label.widget().currentWidget() is not self.label.protocol:
            self.hand.press("What is asked")
        form = self.label.protocol
        form.preset.setCurrentText(name)
        form.preset.textActivated.emit(name)
        for field, value in changes.items():
            getattr(form, field).setValue(value)
        self.hand.press("Save")
        self.hand.live(300)

    # --- the parts of the day

    def forms(self) -> None:
        """Every form there is beside those of the labelling path."""
        self.hand.until(lambda: self.context.chat.loaded is not None)
        self.i_am("Ada Byron", "Nurse")
        self.hand.picture("settings-who")
        self.hand.room("Label", Key.Key_2)
        self.hand.until(lambda: self.label.widget().currentWidget() is self.label.ready)
        self.ask("Pairs with strength", overlap=0)
        self.hand.press("Begin")
        self.item()
        self.do(Key.Key_1, "Place answer A next")
        self.do(Key.Key_1, "How much better: clearly")
        self.do(Key.Key_C, "How sure: a guess")
        self.hand.picture("pair-strength")
        self.do(Key.Key_Return, "Save")
        self.item()
        self.do(Key.Key_0, "None will do")
        self.hand.picture("pair-both-bad")
        self.do(Key.Key_Return, "Save")
        self.item()
        self.do(Key.Key_Equal, "Tie")
        self.do(Key.Key_Return, "Save")
        self.ask("Sorting into groups", answers=3, overlap=0)
        self.item()
        for number in (1, 3, 1):
            self.judging_group(number)
        self.hand.picture("groups")
        self.do(Key.Key_Return, "Save")
        self.ask("Thumbs", overlap=0)
        self.item()
        self.hand.picture("thumbs")
        self.do(Key.Key_Plus, "Answer A is good")
        self.item()
        self.do(Key.Key_Minus, "Answer A is not good")
        self.ask("Writing", overlap=0)
        self.item()
        self.do(Key.Key_2, "Place answer B next")
        self.marks()
        self.hand.picture("pair-with-marks")
        self.do(Key.Key_Return, "Save")
        self.hand.live(300)
        kinds = [judgement.kind for judgement in self.held()]
        print("judged:", kinds, flush=True)
        assert kinds == ["ranking", "all_bad", "ranking", "ranking", "thumbs", "thumbs", "ranking"], kinds
        first, _, tied, grouped, *_, marked = self.held()
        assert (first.verdict, first.confidence) == (Ranking((1, 2), 2), 0.4)
        assert (tied.verdict.ranks, grouped.verdict.ranks) == ((1, 1), (1, 3, 1))
        assert "ratings" in marked.kinds

    def judging_group(self, number: int) -> None:
        """The current answer's group: its number, or (with the mouse one drags) what dropping it does."""
        if self.by == "keyboard":
            self.key(Key(Key.Key_0 + number))
        else:
            self.label.area.panel.dropped.emit(self.judging.current, number - 1, True)
            self.hand.live(60)

    def marks(self) -> None:
        """Three attributes of the first answer."""
        if self.by == "mouse":
            for name in ("Clarity", "Tone", "Length fits"):
                self.hand.press(f"{name[:1].lower()}{name[1:]}, answer A: 4")
            return
        self.key(Key.Key_R)
        for number in (4, 3, 5):
            self.key(Key(Key.Key_0 + number))
        self.key(Key.Key_Escape)

    def share(self) -> None:
        """Ada judges pairs, all of which are for both."""
        self.ask("Quick pairs", overlap=100)
        for _ in range(PAIRS):
            self.item()
            self.do(Key.Key_1, "Place answer A next")
        self.hand.live(300)
        self.hand.press("End")
        self.hand.live(300)

    def second_opinion(self) -> None:
        """Bo judges the same answers, not knowing what she said."""
        before = len(self.held())
        self.i_am("Bo Lind", "Pharmacist")
        self.hand.room("Label", Key.Key_2)
        self.label._again()
        self.hand.until(lambda: self.label.widget().currentWidget() is self.label.ready)
        self.hand.picture("second-waits")
        self.hand.press("Begin")
        shared = [item.shared for item in (self.label.presenter._item, *self.label.presenter.lookahead._ready) if item]
        print("shared:", len([key for key in shared if key]), flush=True)
        for number in range(len([key for key in shared if key])):
            self.item()
            if number == 0:
                self.hand.picture("second-item")
            self.do(Key.Key_1, "Place answer A next")
        self.hand.live(300)
        self.hand.press("End")
        assert len(self.held()) > before

    def settle(self) -> None:
        """How far they agree; a disagreement is settled."""
        project = self.context.session.project
        report = quality(self.context.store, project)
        print(f"overlap {report.overlap.value:.0%}, agreement {report.agreement}", flush=True)
        assert report.overlap.value > 0
        assert report.agreement
        self.hand.room("Feedback", Key.Key_3)
        self.tab(2)
        self.hand.until(lambda: self.feedback.team._content.count() >= 3)
        self.hand.picture("team")
        waiting = unsettled(self.context.store, project)
        if not waiting:
            return
        self.hand.press("Settle: ")
        self.hand.live(300)
        self.hand.picture("team-settling")
        panel = self.feedback.team.settling
        self.key(Key.Key_2) if self.by == "keyboard" else self.press_in(panel, "Place answer B next")
        self.hand.until(lambda: len(unsettled(self.context.store, project)) == len(waiting) - 1)
        self.hand.live(500)
        self.hand.picture("team-settled")
        assert self.held()[-1].purpose == "adjudication"

    def press_in(self, page, name: str) -> None:
        """A button that other pages have too."""
        assert page.isVisible()
        self.hand.press(name)

    def tab(self, number: int) -> None:
        """One of Feedback's parts."""
        self.feedback.tabs.setCurrentIndex(number)
        self.hand.live(600)

    def files(self) -> None:
        """In with a column mapper and with bad rows; out; a bundle."""
        self.tab(3)
        files, before = self.feedback.files, len(self.held())
        odd = self.out / "odd columns.csv"
        odd.write_text("ticket,good reply,bad reply\n" + "".join(f"Why {n}?,Sorry {n},No {n}\n" for n in range(5)), "utf-8")
        files.imports.open(odd)
        self.hand.until(lambda: files.imports.preview.isVisible())
        self.hand.live(400)
        self.hand.picture("import-unsure")
        for field, theirs in (("prompt", "ticket"), ("chosen", "good reply"), ("rejected", "bad reply")):
            files.imports._columns[field].setCurrentIndex(files.imports._columns[field].findData(theirs))
        files.imports._look()
        self.hand.until(lambda: files.imports.go.isEnabled())
        self.hand.live(300)
        self.hand.picture("import-mapped")
        self.hand.press("Import")
        self.hand.until(lambda: len(self.held()) == before + 5)
        self.hand.live(300)
        self.hand.picture("import-done")
        mixed = self.out / "mixed.jsonl"
        good = [{"prompt": f"P {n}", "chosen": "yes", "rejected": "no"} for n in range(3)]
        mixed.write_text("".join(json.dumps(row) + "\n" for row in good) + '{"prompt": "half"}\nnot json\n', "utf-8")
        files.imports.open(mixed)
        self.hand.until(lambda: files.imports.preview.isVisible() and files.imports.go.isEnabled())
        self.hand.picture("import-bad-rows")
        self.hand.press("Import")
        self.hand.until(lambda: len(self.held()) == before + 8)
        self.hand.live(300)
        self.hand.picture("import-set-aside")
        assert (self.out / "mixed.jsonl.rejected.jsonl").read_text("utf-8").count("\n") == 2
        files.exports.export_file(self.out / "out.jsonl")
        self.hand.until(lambda: (self.out / "out.jsonl").exists())
        files.bundles.write(self.out / "team.rlhf.zip")
        self.hand.until(lambda: (self.out / "team.rlhf.zip").exists() and not files.bundles.meter.isVisible())
        self.hand.picture("bundle-made")

    def colleague(self) -> None:
        """A colleague's bundle of the same project, in which something is said differently."""
        other = Workspace(self.out / "elsewhere").ensure()
        with Store.open(other.database) as store:
            project = store.projects.create(PROJECT)
            merge_bundle(store, project, self.out / "team.rlhf.zip")
            store.guidelines.save(project.id, "Be brief.", "Cy Oduya")
            store.protocols.set(project.id, store.protocols.get(project.id).model_copy(update={"answers": 2, "reason": "required"}))
            one = store.judgements.effective(project.id)[0]
            store.judgements.add(replace(one, who="Cy Oduya", id=new_id()))
            export_bundle(store, project, self.out / "cy.rlhf.zip")
        bundles, before = self.feedback.files.bundles, len(self.held())
        self.context.store.guidelines.save(self.context.session.project.id, "Be thorough.", "Bo Lind")
        bundles.open(self.out / "cy.rlhf.zip")
        self.hand.until(lambda: bundles.summary.isVisible())
        self.hand.picture("bundle-looked-through")
        self.hand.press("Merge")
        self.hand.until(lambda: len(self.held()) == before + 1)
        self.hand.live(500)
        self.hand.picture("bundle-merged")
        bundles.open(self.out / "cy.rlhf.zip")
        self.hand.until(lambda: bundles.summary.isVisible())
        self.hand.press("Merge")
        self.hand.until(lambda: not bundles.meter.isVisible() and bundles.notice.isVisible())
        self.hand.picture("bundle-merged-again")
        assert len(self.held()) == before + 1

    def erase(self) -> None:
        """What has left is named before anything goes; then it is gone."""
        self.tab(0)
        page, before = self.feedback.judgements, len(self.held())
        self.hand.until(lambda: page.model is not None and page.model.rowCount())
        page.filters.search.setFocus()
        QTest.keyClicks(page.filters.search, "Why 3")
        self.hand.until(lambda: page.model.rowCount() == 1)
        self.hand.picture("found")
        page.table.setFocus()
        self.hand.press("Erase")
        self.hand.until(lambda: page.erasing.sure.isEnabled())
        self.hand.picture("erase-plan")
        self.hand.press("I have read this")
        self.hand.press("Erase for good")
        self.hand.until(lambda: len(self.held()) == before - 1)
        self.hand.live(500)
        self.hand.picture("erased")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--by", choices=("keyboard", "mouse"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--size", default="1280x800")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["RLHF_DESKTOP_STATE"] = str(options.out / "state")
    workspace = Workspace(options.out / "workspace").ensure()
    app = QApplication([])
    font = app.font()
    font.setPixelSize(round(t.SYSTEM_FONT_PX * options.scale))
    app.setFont(font)
    fill(workspace, options.out / "tiny")
    desktop = Desktop(app, workspace, PROJECT)
    hand = {"keyboard": Keyboard, "mouse": Mouse}[options.by](desktop, options.out)
    try:
        desktop.context.theme.set_mode(options.theme)
        desktop.open()
        desktop.window.resize(*(int(part) for part in options.size.split("x")))
        desktop.window.activateWindow()
        day = Team(hand, options.by, options.out)
        for part in (day.forms, day.share, day.second_opinion, day.settle, day.files, day.colleague, day.erase):
            part()
            print(f"{part.__name__}: well", flush=True)
    except BaseException:
        hand.picture("stopped-here")
        raise
    finally:
        desktop.put_away()


if __name__ == "__main__":
    main()
