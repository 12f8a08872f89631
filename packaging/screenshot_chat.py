"""The pictures of what can be done in a conversation: edited where it stands, searched, full, cut, with saved instructions."""

import screenshot_content as content
from screenshot_studio import Scene, Studio

from rlhf_desktop.core.protocol import Written
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.operations.instructions import save_instructions
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.ui.chat.gauge import Reading
from rlhf_desktop.ui.chat.room import ChatRoom
from rlhf_desktop.ui.chat.turn_edit import TurnEdit
from rlhf_desktop.ui.chat.turn_view import TurnView

INSTRUCTIONS = "You answer customers of a kitchen shop. Be brief and kind, and say what happens next."
CUT = "You find a return label in the parcel with the new blender. Put the old one into the same box, stick the label on it, and"


def _chat(studio: Studio) -> ChatRoom:
    content.show_chat(studio.window, studio.story)
    room: ChatRoom = studio.window.room("chat")
    room.find.leave()
    room.setup_button.setChecked(False)
    for editor in room.conversation.findChildren(TurnEdit):
        editor._leave()
    studio.settle()
    return room


def _editing(studio: Studio) -> None:
    """An answer being put right where it stands."""
    room = _chat(studio)
    view = room.conversation.findChildren(TurnView)[-1]
    view.edit()
    view.editor.field.appendPlainText("\nI am sorry for the trouble.")


def _finding(studio: Studio) -> None:
    room = _chat(studio)
    room.find.open()
    room.find.field.setText("the")


def _cut_and_full(studio: Studio) -> None:
    """An answer that was cut, in a conversation whose beginning the model no longer sees."""
    room, store = _chat(studio), studio.store.conversations
    project, base, adapter = studio.story.project, studio.story.base, studio.story.adapter
    conversation, question = store.start(project.id, [{"role": "user", "content": "My blender arrived broken."}])
    wrote = Generator.of(base, adapter, room.presenter._sampling)
    (answer,) = store.add_completions(question.id, [NewCompletion(content.AFTER[0], 1, "end", 60)], wrote)
    more = store.add_message(conversation.id, answer.id, "user", "How do I send the old one back?")
    store.add_completions(more.id, [NewCompletion(CUT, 1, "length", 40, written=Written(answer=[5]))], wrote)
    room.show_conversation(conversation.id)
    studio.settle()
    room.presenter.gauge._show(Reading(7_912, 8_192, 256, 2, 9.8, 0.8))


def _saved_instructions(studio: Studio) -> None:
    """Instructions chosen, then changed."""
    room = _chat(studio)
    save_instructions(studio.store, studio.story.project, "Kitchen shop", INSTRUCTIONS)
    room.instructions.show()
    room.setup_button.setChecked(True)
    room.setup.edit.setPlainText(INSTRUCTIONS)
    room.setup.edit.setPlainText(f"{INSTRUCTIONS} Never promise a date.")


CHAT_SCENES: dict[str, Scene] = {
    "chat-editing": _editing,
    "chat-finding": _finding,
    "chat-cut-and-full": _cut_and_full,
    "chat-saved-instructions": _saved_instructions,
}
