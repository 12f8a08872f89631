"""Who has to give way is decided by the memory of the device the run is on."""

from types import SimpleNamespace

import pytest
from run_script import ScriptedRun

from rlhf_desktop.core import runs
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.protocol import Loaded
from rlhf_desktop.jobs import device
from rlhf_desktop.jobs.device import Tenant, installation_key
from rlhf_desktop.ui.frame.standing import chat_tenant, look

GB = 10**9
CARDS = [
    {"id": f"cuda:{n}", "kind": "nvidia", "name": f"Card {n}", "uuid": f"GPU-{n}", "memory_total_bytes": 16 * GB,
     "memory_available_bytes": 16 * GB, "fast_dtype": "bfloat16"}
    for n in range(2)
]  # fmt: skip
RADEON = {**CARDS[0], "kind": "rocm", "name": "A Radeon", "uuid": ""}
PROCESSOR = {"id": "cpu", "kind": "cpu", "name": "Processor", "uuid": "", "fast_dtype": "float32"}
CHAT = 77  # its process


def remember(*devices):
    write_json(state_dir() / "device.json", {"key": installation_key(), "device": {"devices": list(devices)}})


@pytest.fixture
def driver(context, monkeypatch):
    """What NVIDIA's driver tells: free bytes by card, and what a process holds there."""
    remember(*CARDS, PROCESSOR)
    told = SimpleNamespace(free={"GPU-0": 16 * GB, "GPU-1": 16 * GB}, held={})
    monkeypatch.setattr(device.nvml, "free_bytes", lambda uuid: told.free.get(uuid))
    monkeypatch.setattr(device.nvml, "held_bytes", lambda uuid, pid: told.held.get((uuid, pid)))
    return told


def starting(context, where, title="Kinder"):
    run = ScriptedRun(context, title=title)
    run.state("starting", device=runs.DeviceRef(id=where["id"], uuid=where["uuid"]))
    return run


def ended(context, where, **peaks):
    """An earlier run of the kind, which shows what one takes."""
    run = ScriptedRun(context, title="Earlier")
    run.say(runs.Finished, outcome="done", metrics=peaks)
    run.state("done", device=runs.DeviceRef(id=where["id"], uuid=where["uuid"]))


def crowding(context, tenant):
    found = look(context.queue, tenant).crowding
    return found.title if found else None


def test_chat_gives_way_where_the_run_would_not_fit_beside_it_on_its_card(context, driver):
    ended(context, CARDS[0], peak_rss_bytes=2 * GB, peak_cuda_bytes=9 * GB)
    driver.held["GPU-0", CHAT] = 7 * GB
    driver.free["GPU-0"] = 9 * GB
    starting(context, CARDS[0])
    assert crowding(context, Tenant(CHAT, "GPU-0")) == "Kinder"
    driver.free["GPU-0"] = 12 * GB
    driver.held["GPU-0", CHAT] = 4 * GB
    assert crowding(context, Tenant(CHAT, "GPU-0")) is None  # both fit, whatever the computer's own memory


def test_what_the_run_has_taken_already_is_not_asked_for_again(context, driver):
    ended(context, CARDS[0], peak_cuda_bytes=9 * GB)
    driver.held["GPU-0", CHAT] = 4 * GB
    run = starting(context, CARDS[0])
    driver.held["GPU-0", run.folder.status().worker.pid] = 8 * GB
    driver.free["GPU-0"] = 4 * GB
    assert crowding(context, Tenant(CHAT, "GPU-0")) is None


def test_chat_on_another_device_is_left_alone(context, driver):
    ended(context, CARDS[0], peak_cuda_bytes=15 * GB)
    driver.held.update({("GPU-1", CHAT): 12 * GB})
    driver.free.update({"GPU-0": GB, "GPU-1": GB})
    starting(context, CARDS[0])
    assert crowding(context, Tenant(CHAT, "GPU-1")) is None
    assert crowding(context, Tenant(CHAT, "cpu")) is None


def test_a_run_on_the_processor_does_not_send_chat_off_a_card(context, driver, monkeypatch):
    ended(context, PROCESSOR, peak_rss_bytes=10**15)
    driver.held["GPU-0", CHAT] = 12 * GB
    starting(context, PROCESSOR)
    assert crowding(context, Tenant(CHAT, "GPU-0")) is None
    monkeypatch.setattr(device, "process_bytes", lambda pid: GB)
    assert crowding(context, Tenant(CHAT, "cpu")) == "Kinder"


def test_where_the_driver_tells_nothing_the_models_weights_count(context):
    remember(RADEON, PROCESSOR)
    ended(context, RADEON, peak_cuda_bytes=10 * GB)
    starting(context, RADEON)
    assert crowding(context, Tenant(CHAT, "cuda:0", weights_bytes=3 * GB)) is None
    assert crowding(context, Tenant(CHAT, "cuda:0", weights_bytes=6 * GB)) == "Kinder"


def test_only_a_run_that_begins_asks_for_room(context, driver):
    ended(context, CARDS[0], peak_cuda_bytes=15 * GB)
    driver.held["GPU-0", CHAT], driver.free["GPU-0"] = 12 * GB, GB
    run = starting(context, CARDS[0])
    run.state("running", device=run.folder.status().device)
    assert crowding(context, Tenant(CHAT, "GPU-0")) is None


def test_the_tenant_is_the_process_with_its_models_place(context):
    chat = SimpleNamespace(process_id=5, loaded=Loaded(id="", device="cuda:1", device_uuid="GPU-1", dtype="float16", load_s=1.0))
    assert chat_tenant(chat, context.session.base).device == "GPU-1"
    assert chat_tenant(SimpleNamespace(process_id=5, loaded=None), context.session.base) == Tenant(5)


def test_several_runs_under_way_are_counted(context, driver):
    for title in ("One", "Two", "Three"):
        ScriptedRun(context, title=title).steps(1, 50)
    assert look(context.queue, Tenant()).words.endswith(" · and 2 more")
