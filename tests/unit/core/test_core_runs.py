from rlhf_desktop.core.runs import AdapterRef, ModelRef


def test_a_model_is_held_as_chosen_else_as_its_adapters_were_trained():
    base = ModelRef(name="m", path="/m", hash="h")
    plain = AdapterRef(name="a", path="/a", hash="a", base_hash="h")
    small = plain.model_copy(update={"quantization": "4bit"})
    assert base.held().quantization == base.held(None, plain).quantization == "none"
    assert base.held(plain, small).quantization == "4bit"
    for chosen in ("none", "4bit"):
        assert base.model_copy(update={"quantization": chosen}).held(plain, small).quantization == chosen
    assert base.held(small).held(plain).quantization == "4bit"  # once said, it stays
