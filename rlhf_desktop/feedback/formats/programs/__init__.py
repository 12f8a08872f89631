"""Conversations as other programs export them, with the thumbs, choices and edits that lie in them.

| program | what a record is | what it holds |
|---|---|---|
| Open WebUI | a chat: `chat.history.messages` by id | thumbs, edited answers, regenerations |
| Open WebUI, feedback history | a rating with a snapshot of its chat | thumbs, choices in the arena, reasons |
| AnythingLLM | prompt, response, sent_at, rating | thumbs |
| LM Studio | `messages` with `versions` | regenerations |
| Jan | a thread and its messages | regenerations |
| LibreChat | `messages` or `messagesTree` | thumbs with reasons, regenerations |
| ChatGPT | `mapping` of nodes, with `message_feedback.json` and `model_comparisons.json` | thumbs, choices, regenerations |
| Claude | `chat_messages` | regenerations |
| plain | turns with who speaks, or a transcript | questions |

What was rated becomes a judgement of the same kind. What was only answered, once or several times, is put to be judged (`talk`).
"""
