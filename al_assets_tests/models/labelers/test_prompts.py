from collections.abc import Callable
from typing import Any

import pytest

from al_assets.config import CausalLMSettings, Policy
from al_assets.models.labelers.prompts import PromptError, PromptTemplate, in_chat, policy_prompt
from al_assets.models.labelers.yes_no import ModelError, load_tokenizer

MakePolicy = Callable[..., Policy]


def template_of(policy: Policy) -> PromptTemplate:
    assert isinstance(policy.labeler, CausalLMSettings)
    return policy_prompt(policy.labeler, policy.policy)


def causal_lm(**settings: Any) -> dict[str, Any]:
    return {"kind": "causal_lm", "model": "unused", **settings}


def test_everything_but_the_text_is_filled_in(make_policy: MakePolicy) -> None:
    policy = make_policy(causal_lm(), examples=[{"text": "Vile.", "label": "positive"}])
    assert template_of(policy).fill("Hm.") == (
        "A remark is strongly negative when its writer is hostile or disgusted.\n\n"
        "Text: Vile.\nQuestion: Is this strongly negative?\nAnswer: yes\n\n"
        "Answer with one word, yes or no.\n\nText: Hm.\nQuestion: Is this strongly negative?\nAnswer:"
    )


def test_answers_of_examples_are_the_configured_ones(make_policy: MakePolicy) -> None:
    policy = make_policy(
        causal_lm(yes="Bad", no="Good"),
        examples=[{"text": "a", "label": "positive"}, {"text": "b", "label": "negative"}],
    )
    assert "Text: a\nQuestion: Is this strongly negative?\nAnswer: Bad\n\nText: b\n" in template_of(policy).before
    assert "Answer: Good\n\n" in template_of(policy).before


def test_braces_in_guideline_example_and_text_stay_as_they_are(make_policy: MakePolicy) -> None:
    policy = make_policy(
        causal_lm(prompt='{guideline} {examples} {"json": {text}} {question}'),
        guideline="No {text}, no {question}, no {}.",
        examples=[{"text": "{text}", "label": "negative"}],
    )
    filled = template_of(policy).fill("{guideline}{text}")
    assert filled.startswith("No {text}, no {question}, no {}. Text: {text}\n")
    assert filled.endswith('{"json": {guideline}{text}} Is this strongly negative?')


@pytest.mark.parametrize(("prompt", "times"), [("{question}", 0), ("{text} or {text}", 2)])
def test_a_prompt_holds_the_text_exactly_once(prompt: str, times: int, make_policy: MakePolicy) -> None:
    with pytest.raises(PromptError, match=rf"labeler.prompt: .* holds {{text}} {times} times; write it exactly once"):
        template_of(make_policy(causal_lm(prompt=prompt)))
    with pytest.raises(PromptError, match=rf"holds {{text}} {times} times"):
        PromptTemplate.parse(prompt)


@pytest.mark.parametrize("special_tokens", [True, False])
def test_a_long_text_loses_its_end_and_the_prompt_nothing(
    special_tokens: bool, tiny_model: Callable[[str], str]
) -> None:
    tokenizer = load_tokenizer(tiny_model("llama"))
    template = PromptTemplate("Remark: ", "\nStrongly negative?")
    texts = ["short", "I hate it! " * 200, "é😀中" * 300, ""]
    prompts = template.fit(tokenizer, texts, 60, special_tokens)
    lengths = [len(tokenizer(each)["input_ids"]) for each in prompts]
    assert prompts[0] == template.fill("short")
    assert prompts[3] == template.fill("")
    assert max(lengths) <= 60
    assert min(lengths[1:3]) >= 57
    for prompt, text in zip(prompts, texts, strict=True):
        assert prompt.startswith(template.before)
        assert prompt.endswith(template.after)
        assert text.startswith(prompt.removeprefix(template.before).removesuffix(template.after))


def test_a_prompt_without_room_for_a_text_is_refused(tiny_model: Callable[[str], str]) -> None:
    tokenizer = load_tokenizer(tiny_model("llama"))
    template = PromptTemplate("A very long guideline. " * 20, "?")
    with pytest.raises(PromptError, match=r"max_tokens: 20 leaves no room for a text; the prompt alone has \d+ tokens"):
        template.fit(tokenizer, ["Fine."], 20)


def test_no_texts_make_no_prompts(tiny_model: Callable[[str], str]) -> None:
    assert PromptTemplate("", "").fit(load_tokenizer(tiny_model("llama")), [], 8) == []


def test_a_chat_template_is_written_around_the_prompt(tiny_model: Callable[[str], str]) -> None:
    tokenizer = load_tokenizer(tiny_model("llama"))
    template = PromptTemplate("Text: ", "\nRude?")
    with pytest.raises(ModelError, match="has none; set labeler.chat_template to false"):
        in_chat(template, tokenizer, "tiny")
    tokenizer.chat_template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chat = in_chat(template, tokenizer, "tiny")
    assert chat.fill("{x}") == "<user>Text: {x}\nRude?</user><assistant>"
    tokenizer.chat_template = "{{ messages[0].role }}"
    with pytest.raises(ModelError, match="repeats or drops the message"):
        in_chat(template, tokenizer, "tiny")
