"""Speaks the inference worker's protocol without a model. Answers are "answer <n> to <last message>", streamed in two parts.

A prompt that holds "ponder" is thought about first, "endless" until it is cancelled. One that holds "forever" streams one part and
waits to be cancelled; "lengthy" is cut at the limit, and an answer that has begun goes on with " and so on"; "crash" ends the
process; "trouble" is refused; "broken" is refused too, and the process ends because only a new one can go on.

A model whose path holds "refused" cannot be loaded; "dies" ends the process. One whose path ends in "slow" is a quarter loaded,
and there when a file "go" lies in that folder.
"""

import json
import os
import sys
import time
from pathlib import Path


def say(**reply):
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def generate(request, waiting):
    last = request["prompts"][0][-1]["content"]
    key = request["id"]
    if "trouble" in last:
        say(type="trouble", id=key, message="The model is out of memory.", hint="Ask for fewer answers.")
        return
    if "broken" in last:
        say(type="trouble", id=key, message="The graphics card has stopped working.", hint="Ask again.")
        sys.exit(75)
    if request.get("begun"):
        before = request["begun"]["text"]
        say(type="token", id=key, prompt=0, completion=0, text=before)
        if "forever" in last:
            waiting[key] = [before]
            return
        say(type="token", id=key, prompt=0, completion=0, text=" and so on")
        finish(key, [before + " and so on"], "end")
        return
    if len(request["prompts"]) > 1:  # answers to several prompts are not streamed, and end in no order one could rely on
        for prompt, messages in reversed(list(enumerate(request["prompts"]))):
            text = f"answer 0 to {messages[-1]['content']}"
            say(type="completion", id=key, prompt=prompt, completion=0, text=text, tokens=4, finish="end")
        say(type="done", id=key, cancelled=False, stats={})
        return
    texts = [f"answer {n} to {last}" for n in range(request["k"])]
    if "ponder" in last or "endless" in last:
        for n in range(request["k"]):
            for piece in (f"Hm, {n}", ": so be it."):
                say(type="token", id=key, prompt=0, completion=n, text=piece, thought=True)
    if "endless" in last:
        waiting[key] = [""] * request["k"]
        return
    for n, text in enumerate(texts):
        say(type="token", id=key, prompt=0, completion=n, text=text[:8])
    if "crash" in last:
        os._exit(3)
    if "forever" in last:
        waiting[key] = [text[:8] for text in texts]
        return
    finish(key, texts, "length" if "lengthy" in last else "end", thinks="ponder" in last)


def finish(key, texts, how, thinks=False):
    for n, text in enumerate(texts):
        thought = {"thought": f"Hm, {n}: so be it.", "thought_tokens": 9} if thinks or not text else {}
        written = {"written": {"thought": [], "closing": [], "answer": [5, 6, 7, 8]}} if how != "end" else {}
        say(type="completion", id=key, prompt=0, completion=n, text=text, tokens=4, finish=how, **thought, **written)
    say(type="done", id=key, cancelled=how == "cancelled", stats={})


def main():
    waiting = {}
    say(type="ready", id="", pid=os.getpid())
    for line in sys.stdin:
        request = json.loads(line)
        match request["op"]:
            case "load" if "dies" in request["base"]["path"]:
                os._exit(3)
            case "load" if "refused" in request["base"]["path"]:
                say(type="trouble", id=request["id"], message="The model is damaged.", hint="Add it again.")
            case "load":
                if request["base"]["path"].endswith("slow"):
                    say(type="loading", id=request["id"], share=0.25)
                    while not (Path(request["base"]["path"]) / "go").exists():
                        time.sleep(0.01)
                say(type="loaded", id=request["id"], device="cpu", dtype="float32", load_s=0.1)
            case "generate":
                generate(request, waiting)
            case "cancel":
                if request["target"] in waiting:
                    finish(request["target"], waiting.pop(request["target"]), "cancelled")
            case "measure":
                words = sum(len(message["content"].split()) for message in request["prompt"])
                left_out = 2 if "crowded" in request["prompt"][0]["content"] and len(request["prompt"]) > 2 else 0
                say(type="measured", id=request["id"], tokens=words, limit=1000, left_out=left_out)
                say(type="done", id=request["id"], stats={})
            case "shutdown":
                return
            case _:
                say(type="done", id=request["id"], stats={})


main()
