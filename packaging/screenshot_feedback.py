"""The pictures of Chat, Label and Feedback: each form of judgement, and each page, with something in it."""

import screenshot_content as content
from screenshot_studio import Scene, Studio

from rlhf_desktop.core.protocol import Completion, Done
from rlhf_desktop.feedback.attachments import Attachment, Document
from rlhf_desktop.feedback.judgements import Span
from rlhf_desktop.feedback.protocol import PRESETS
from rlhf_desktop.operations.attachments import prompt_with
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.quality import unsettled
from rlhf_desktop.ui.label.room import LabelRoom
from rlhf_desktop.ui.widgets.filefold import FileFold

TERMS = "A broken blender may be sent back within thirty days of the purchase. The postage, 4.90, is ours. "


def _answered(studio: Studio, texts: tuple[str, ...]) -> LabelRoom:
    """Label with the model's answers to its next prompt: the silent worker writes none."""
    studio.window.show_room("label")
    room, chat = studio.window.room("label"), studio.context.chat
    studio.settle()
    room.presenter.end()
    studio.store.settings.set("label_ready", None, studio.story.project.id)
    room._again()
    studio.settle()
    room.ready.button.click()
    request = room.presenter.lookahead._asked.request
    for place, text in enumerate(texts):
        chat.completionFinished.emit(Completion(id=request, prompt=0, completion=place, text=text, tokens=40, finish="end"))
    chat.requestDone.emit(Done(id=request))
    studio.settle()
    return room


def _ask(studio: Studio, preset: str, answers: int) -> None:
    protocol = PRESETS[preset].model_copy(update={"answers": answers, "overlap_share": 0.0})
    studio.store.protocols.set(studio.story.project.id, protocol)


def _judging(studio: Studio) -> None:
    """Four answers, two of them placed."""
    _ask(studio, "General", 4)
    studio.store.guidelines.save(studio.story.project.id, content.GUIDELINES, "Amina Haddad")
    room = _answered(studio, (content.BEFORE[0], content.AFTER[0], content.BEFORE[3], content.AFTER[3]))
    room.presenter.judging.press(1)
    room.presenter.judging.press(3)


def _judging_medicine(studio: Studio) -> None:
    """Everything a specialist can be asked, with a mark, a correction and a reason."""
    _ask(studio, "Medicine", 2)
    room = _answered(studio, (content.DOSE, content.DOSE_WRONG))
    judging = room.presenter.judging
    wrong = next(place for place, text in enumerate(judging.showing.texts) if text == content.DOSE_WRONG)
    start = content.DOSE_WRONG.index("eight tablets")
    judging.mark(Span(wrong, start, start + len("eight tablets at once"), "unsafe advice", 3))
    judging.mark(Span(wrong, 0, 7, "unsupported claim", 1))
    judging.press(1 - wrong)
    judging.score("accuracy", wrong, 1)
    judging.score("accuracy", 1 - wrong, 4)
    judging.score("helpfulness", 1 - wrong, 5)
    judging.label("Refers to care", 1 - wrong, ("rightly",))
    judging.set_confidence(1.0)


def _judging_pair(studio: Studio) -> None:
    """A pair of long answers, one of them being corrected."""
    _ask(studio, "Pairs with strength", 2)
    room = _answered(studio, (content.LONG, content.AFTER[2]))
    room.presenter.judging.press(0)
    room.area.board.cards[1].start_writing()


def _sitting_over(studio: Studio) -> None:
    _judging(studio)
    room = studio.window.room("label")
    for answer in (0, 2):
        room.presenter.judging.press(answer)
    room.presenter.judging.submit()
    room.presenter.end()


def _protocol_form(studio: Studio) -> None:
    _ask(studio, "Medicine", 4)
    studio.window.show_room("label")
    studio.window.room("label")._open_protocol()


def _chat_judging(studio: Studio) -> None:
    """Alternatives in Chat, compared."""
    _ask(studio, "General", 4)
    room = studio.window.room("chat")
    room.setup_button.setChecked(False)
    room.list.search.clear()
    room.composer.clear()
    content.show_chat(studio.window, studio.story)
    presenter = room.presenter
    leaf = presenter._tree.active_path()[-1]
    studio.store.conversations.add_answers(leaf.parent_id, [content.LONG])
    presenter.open(presenter.conversation_id)
    presenter.compare(leaf.id)
    presenter.judging.press(0)


def _feedback_tab(tab: int) -> Scene:
    def scene(studio: Studio) -> None:
        studio.window.show_room("feedback")
        room = studio.window.room("feedback")
        room.judgements.setCurrentWidget(room.judgements.split)
        room.team.setCurrentWidget(room.team.page)
        studio.window.room("feedback").tabs.setCurrentIndex(tab)

    return scene


def _revising(studio: Studio) -> None:
    """A judgement being revised."""
    _ask(studio, "General", 4)
    _feedback_tab(0)(studio)
    studio.settle()
    page = studio.window.room("feedback").judgements
    page.revise(page.model.row(2).judgement)


def _import_preview(studio: Studio) -> None:
    """A file with columns of its own, mapped."""
    file = studio.workspace.root / "tickets 2026.csv"
    rows = zip(content.PROMPTS, content.AFTER, content.BEFORE, strict=True)
    lines = [f'"{p}","{a}","{b}"'.replace("\n", " ") for p, a, b in rows]
    file.write_text("ticket,good reply,bad reply\n" + "\n".join(lines), "utf-8")
    _feedback_tab(3)(studio)
    imports = studio.window.room("feedback").files.imports
    imports.open(file)
    studio.settle()
    imports.form.setCurrentIndex(imports.form.findData("preference"))
    imports._look(fresh_columns=True)
    for field, column in (("prompt", "ticket"), ("chosen", "good reply"), ("rejected", "bad reply")):
        imports._columns[field].setCurrentIndex(imports._columns[field].findData(column))
    imports._look()


def _erasing(studio: Studio) -> None:
    """What an erase would take with it."""
    _feedback_tab(0)(studio)
    studio.settle()
    studio.window.room("feedback").judgements._erase()


def _groups(studio: Studio) -> None:
    """Answers sorted into groups."""
    _ask(studio, "Sorting into groups", 3)
    room = _answered(studio, (content.BEFORE[0], content.AFTER[0], content.LONG))
    room.presenter.judging.press(0)
    room.presenter.judging.press(2)


def _thumbs(studio: Studio) -> None:
    """One answer, good or not."""
    _ask(studio, "Thumbs", 1)
    _answered(studio, (content.AFTER[4],))


def _marking(studio: Studio) -> None:
    """A part of an answer about to be marked."""
    _ask(studio, "Medicine", 2)
    room = _answered(studio, (content.DOSE, content.DOSE_WRONG))
    card = room.area.board.cards[room.presenter.judging.showing.texts.index(content.DOSE_WRONG)]
    card.toggle_marking()
    card._marks.text.choose(55, 76)


def _own_answer(studio: Studio) -> None:
    """An answer being written from scratch."""
    _judging(studio)
    room = studio.window.room("label")
    room.area.write_own()
    room.area._own.edit.setPlainText(content.AFTER[0])


def _write_prompts(studio: Studio) -> None:
    studio.window.show_room("label")
    room = studio.window.room("label")
    room._open(room.writing)
    room.writing.edit.setPlainText("\n\n".join(content.PROMPTS[:3]))


def _write_guidelines(studio: Studio) -> None:
    _judging(studio)
    studio.window.room("label").page.guidelines.start_writing()


def _chat_setup(studio: Studio) -> None:
    """A conversation's instructions and sampling, and the list narrowed by what is typed."""
    content.show_chat(studio.window, studio.story)
    room = studio.window.room("chat")
    room.setup_button.setChecked(True)
    room.list.search.setText("blender")


def _chat_files(studio: Studio) -> None:
    """A question about a file, answered; another with files being written."""
    studio.window.show_room("chat")
    room, store = studio.window.room("chat"), studio.store
    room.setup_button.setChecked(False)
    room.list.search.clear()
    terms = Document("Terms of delivery 2026.pdf", 184_320, tuple(TERMS * 3 for _ in range(12)), "page", 12)
    asked = prompt_with("How long may a customer wait?", [Attachment(terms, (1, 2))])
    conversation, question = store.conversations.start(studio.story.project.id, [{"role": "user", "content": asked}])
    store.conversations.add_answers(question.id, ["Thirty days from the purchase, as page 1 says."])
    room.show_conversation(conversation.id)
    room.conversation.findChild(FileFold).toggle.setChecked(True)
    letter = Document("Letter of Ms Haddad.docx", 21_504, (TERMS,), "part", 1)
    for document in (terms, letter):
        room.composer.files.put(Attachment.whole(document))
    room.composer.files.set_room(900)
    room.composer.edit.setPlainText("May she have her money back?")


def _chat_blank(studio: Studio) -> None:
    """A conversation not begun, with its instructions."""
    studio.window.show_room("chat")
    room = studio.window.room("chat")
    room.list.search.clear()
    room.new_conversation()
    room.setup_button.setChecked(True)


def _settle(studio: Studio) -> None:
    """A disagreement being settled."""
    _ask(studio, "General", 4)
    _feedback_tab(2)(studio)
    studio.settle()
    team = studio.window.room("feedback").team
    team.settle(unsettled(studio.store, studio.story.project)[0])


def _bundle(studio: Studio) -> None:
    """A colleague's bundle, looked through before it is merged."""
    _feedback_tab(3)(studio)
    studio.window.room("feedback").files.imports.preview.hide()
    path = studio.workspace.root / "Support tone, Jonas.rlhf.zip"
    export_bundle(studio.store, studio.story.project, path)
    studio.window.room("feedback").files.bundles.open(path)


FEEDBACK_SCENES: dict[str, Scene] = {
    "chat": lambda studio: content.show_chat(studio.window, studio.story),
    "chat-setup": _chat_setup,
    "chat-blank": _chat_blank,
    "chat-files": _chat_files,
    "chat-judging": _chat_judging,
    "label": lambda studio: studio.window.show_room("label"),
    "label-judging": _judging,
    "label-medicine": _judging_medicine,
    "label-marking": _marking,
    "label-pair": _judging_pair,
    "label-groups": _groups,
    "label-thumbs": _thumbs,
    "label-own": _own_answer,
    "label-guidelines": _write_guidelines,
    "label-summary": _sitting_over,
    "label-protocol": _protocol_form,
    "label-prompts": _write_prompts,
    "feedback": _feedback_tab(0),
    "feedback-revise": _revising,
    "feedback-quality": _feedback_tab(1),
    "feedback-team": _feedback_tab(2),
    "feedback-settle": _settle,
    "feedback-files": _import_preview,
    "feedback-bundle": _bundle,
    "feedback-erase": _erasing,
}
