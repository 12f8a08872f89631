"""An inference worker without a model: answers in pieces, obeys cancel, and dies when asked to."""

import json
import os
import sys


def say(**reply: object) -> None:
    sys.stdout.buffer.write(json.dumps(reply, ensure_ascii=False).encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()


loaded = "nothing"


def generate(request: dict) -> None:
    for j, prompt in enumerate(request["prompts"]):
        text = prompt[-1]["content"]
        if text == "die":
            print("Out of memory: killed", file=sys.stderr, flush=True)
            os.kill(os.getpid(), 9)
        if text == "broken":
            say(type="trouble", id=request["id"], message="The graphics card has stopped working.", hint="Ask again.")
            sys.exit(75)
        if text == "which":
            text = f"{os.getpid()} {loaded}"
        for i in reversed(range(request["k"])):
            if request["stream"]:
                say(type="token", id=request["id"], prompt=j, completion=i, text=text)
            answer = f"{text} {i} ü😀 {(request['adapter'] or {}).get('name')}"
            say(type="completion", id=request["id"], prompt=j, completion=i, text=answer, tokens=3, finish="end")


def main() -> None:
    global loaded
    say(type="ready", pid=os.getpid())
    for line in sys.stdin:
        request = json.loads(line)
        name = request["id"]
        if request["op"] == "load" and request["base"]["name"] == "broken":
            say(type="trouble", id=name, message="The model is damaged.", hint="Add it again.", detail="x")
            continue
        if request["op"] == "load":
            loaded = request["base"]["name"]
            say(type="loaded", id=name, device="cpu", dtype="float32", load_s=0.1)
        if request["op"] == "generate":
            generate(request)
        if request["op"] == "score":
            say(type="scores", id=name, scores=[[float(len(text)) for text in row] for row in request["completions"]])
        say(type="done", id=name)


main()
