"""Head and cross-entropy in parts: the loss and gradients of the whole, or a clear refusal."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from planner.apply import apply_strategy, remove_strategy
from planner.errors import StrategyMismatch
from planner.strategy import Strategy
from tests.planner.requests import TINY

VOCABULARY = 50
TOKENS = torch.randint(0, VOCABULARY, (2, 9), generator=torch.Generator().manual_seed(0))
LABELS = TOKENS.masked_fill(TOKENS % 5 == 0, -100)


class Language(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.head = nn.Linear(16, VOCABULARY)
        self.loss = loss

    def forward(self, tokens, labels):
        return self.loss(self.head(self.embedding(tokens).tanh()), labels)


def shifted(logits, labels, **options):
    rows = logits[:, :-1].contiguous().view(-1, VOCABULARY)
    return F.cross_entropy(rows, labels[:, 1:].reshape(-1), **options)


USES = {
    "shift by slicing": shifted,
    "sum": lambda logits, labels: shifted(logits, labels, reduction="sum"),
    "another ignore_index": lambda logits, labels: F.cross_entropy(
        logits.view(-1, logits.size(-1)), labels.clamp(min=0).view(-1), ignore_index=3
    ),
    "reshape and float": lambda logits, labels: F.cross_entropy(
        logits.float().reshape(-1, VOCABULARY), labels.reshape(-1)
    ),
    "view to -1 in the end": lambda logits, labels: F.cross_entropy(
        logits.view(logits.shape[0] * logits.shape[1], -1), labels.view(-1)
    ),
    "flatten and shift on all axes": lambda logits, labels: F.cross_entropy(
        logits[..., :-1, :].flatten(0, 1), labels[:, 1:].flatten()
    ),
    "flatten from the end": lambda logits, labels: F.cross_entropy(
        logits.flatten(0, -2), labels.flatten()
    ),
    "rows by a mask": lambda logits, labels: F.cross_entropy(
        logits[labels != -100], labels[labels != -100]
    ),
    "soft cap": lambda logits, labels: shifted(torch.tanh(logits / 3) * 3, labels),
    "module": lambda logits, labels: nn.CrossEntropyLoss()(
        logits.view(-1, VOCABULARY), labels.view(-1)
    ),
}


def language(loss):
    torch.manual_seed(0)
    return Language(loss)


def result(model, autocast=False, **inputs):
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        outputs = model(**inputs)
    loss = outputs if isinstance(outputs, torch.Tensor) else outputs.loss
    loss.backward()
    return [loss.detach(), *(parameter.grad.clone() for parameter in model.parameters())]


def close(one, other, **tolerance):
    return all(torch.allclose(a, b, **tolerance) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("chunks", [2, 7, 100])
@pytest.mark.parametrize("use", USES)
def test_loss_and_gradients_are_those_of_the_whole(use, chunks):
    plain = result(language(USES[use]), tokens=TOKENS, labels=LABELS)
    model = apply_strategy(language(USES[use]), Strategy(loss_chunks=chunks))
    assert close(result(model, tokens=TOKENS, labels=LABELS), plain, atol=1e-6)


def test_autocast_reaches_the_head():
    plain = result(language(shifted), True, tokens=TOKENS, labels=LABELS)
    model = apply_strategy(language(shifted), Strategy(loss_chunks=3))
    found = result(model, True, tokens=TOKENS, labels=LABELS)
    assert close(found, plain, atol=1e-3)
    assert not close(found, result(language(shifted), tokens=TOKENS, labels=LABELS), atol=1e-6)


def test_the_head_can_be_named():
    model = language(shifted)
    model.unusual = model.head
    apply_strategy(model, Strategy(loss_chunks=3, loss_head="head"))
    plain = result(language(shifted), tokens=TOKENS, labels=LABELS)
    assert close(result(model, tokens=TOKENS, labels=LABELS), plain, atol=1e-6)


def causal(model_type):
    torch.manual_seed(0)
    config = CONFIG_MAPPING[model_type](**TINY[model_type])
    return AutoModelForCausalLM.from_config(config).eval()


IDS = torch.randint(0, 512, (2, 16), generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_language_models_of_the_library(model_type):
    labels = IDS.masked_fill(IDS % 7 == 0, -100)
    plain = result(causal(model_type), input_ids=IDS, labels=labels)
    model = apply_strategy(causal(model_type), Strategy(loss_chunks=4))
    assert close(result(model, input_ids=IDS, labels=labels), plain, atol=1e-5)


@pytest.fixture(scope="module")
def promised():
    model = apply_strategy(causal("gpt2"), Strategy(loss_chunks=4))
    return model(input_ids=IDS, labels=IDS).logits


@pytest.mark.parametrize(
    ("use", "named"),
    [
        (lambda logits: logits.argmax(-1), "argmax"),
        (lambda logits: torch.argmax(logits, -1), "argmax"),
        (lambda logits: logits.softmax(-1), "softmax"),
        (lambda logits: F.softmax(logits, -1), "softmax"),
        (lambda logits: torch.cat([logits, logits]), "cat"),
        (lambda logits: torch.zeros(()) + logits, "add"),
        (lambda logits: logits.detach(), "detach"),
        (lambda logits: logits.cpu(), "cpu"),
        (lambda logits: logits[0, 0, 0], "selected"),
        (lambda logits: logits[0][0][0], "selected"),
        (lambda logits: logits[..., :500], "selected"),  # a padded vocabulary, cut
        (lambda logits: logits[..., None], "selected"),
        (lambda logits: logits.flatten(), "reshaped"),
        (lambda logits: logits.view(-1), "reshaped"),
        (lambda logits: logits.view(-1, 256), "reshaped"),
    ],
)
def test_logits_that_were_never_whole_cannot_be_used_unnoticed(promised, use, named):
    with pytest.raises(StrategyMismatch, match=named):
        use(promised)


@pytest.mark.parametrize("use", [lambda logits: logits + 1, float, len])
def test_operators_that_a_promise_lacks_fail(promised, use):
    with pytest.raises((StrategyMismatch, TypeError)):
        use(promised)


@pytest.mark.parametrize(
    ("loss", "named"),
    [
        (lambda x, y: shifted(x, y, label_smoothing=0.1), "smoothing"),
        (lambda x, y: shifted(x, y, weight=torch.ones(VOCABULARY)), "weights"),
        (lambda x, y: shifted(x, y, reduction="none").mean(), "no reduction"),
        (lambda x, y: F.cross_entropy(x.transpose(1, 2), y), "transpose"),
        (lambda x, y: F.log_softmax(x, -1).mean(), "log_softmax"),
        (lambda x, y: F.cross_entropy(x[0, :, :], y), "no rows"),
    ],
)
def test_what_needs_whole_logits_is_named(loss, named):
    model = apply_strategy(language(loss), Strategy(loss_chunks=2))
    with pytest.raises(StrategyMismatch, match=named):
        model(TOKENS, LABELS)
    remove_strategy(model)
    assert torch.isfinite(language(shifted)(TOKENS, LABELS))


def test_without_gradients_the_logits_are_whole():
    model = apply_strategy(causal("gpt2"), Strategy(loss_chunks=4))
    with torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, causal("gpt2")(input_ids=IDS).logits)
