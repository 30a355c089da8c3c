"""The options that make up a request, shared by `headroom simulate`, `plan` and `run`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, get_type_hints

import typer

from app.cli.errors import usage_error
from app.cli.model_source import assign, guess_task, is_request, parse_value, read_document
from planner.request import Attention, Experts, Precision, Task

_MODEL = "What to simulate"
_WORKLOAD = "What is done with it"
_WHERE = "On what, and how"


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """What the command line says of a request; None and empty leave it to file and defaults."""

    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model's config.json, a local model folder, a whole request as JSON, or - to "
            "read one of them from standard input.",
            show_default=False,
        ),
    ] = None
    model_type: Annotated[
        str | None,
        typer.Option(help="An architecture of transformers, such as gpt2.", rich_help_panel=_MODEL),
    ] = None
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A field of the configuration, such as n_layer=6; repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    preset: Annotated[
        str | None,
        typer.Option(
            help="A description that ships with Headroom: see `headroom models`.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    size: Annotated[
        Literal["small", "paper"] | None,
        typer.Option(help="The preset's size.", rich_help_panel=_MODEL),
    ] = None
    task: Annotated[
        Task | None,
        typer.Option(
            help="What the model is for; read from the configuration's architectures if absent.",
            rich_help_panel=_MODEL,
            show_choices=False,
            metavar="TASK",
        ),
    ] = None
    attention: Annotated[Attention | None, typer.Option(rich_help_panel=_MODEL)] = None
    experts: Annotated[Experts | None, typer.Option(rich_help_panel=_MODEL)] = None
    lora_rank: Annotated[
        int | None,
        typer.Option(help="Train low-rank adapters of this rank only.", rich_help_panel=_MODEL),
    ] = None
    freeze: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Glob of parameter names that get no gradient; repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Glob of those that learn all the same; repeatable.",
            rich_help_panel=_MODEL,
        ),
    ] = None
    mode: Annotated[
        Literal["train", "inference", "generation"] | None,
        typer.Option(rich_help_panel=_WORKLOAD),
    ] = None
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "-b", rich_help_panel=_WORKLOAD)
    ] = None
    sequence_length: Annotated[
        int | None,
        typer.Option(
            "--sequence-length", "-s", help="Tokens of the input.", rich_help_panel=_WORKLOAD
        ),
    ] = None
    target_length: Annotated[
        int | None,
        typer.Option(help="Tokens of an encoder-decoder's labels.", rich_help_panel=_WORKLOAD),
    ] = None
    new_tokens: Annotated[
        int | None, typer.Option(help="Tokens to generate.", rich_help_panel=_WORKLOAD)
    ] = None
    cache: Annotated[
        Literal["dynamic", "static", "none"] | None,
        typer.Option(help="KV cache of generation.", rich_help_panel=_WORKLOAD),
    ] = None
    image_size: Annotated[
        int | None, typer.Option(help="Pixels a side.", rich_help_panel=_WORKLOAD)
    ] = None
    precision: Annotated[
        Precision | None, typer.Option("--precision", "-p", rich_help_panel=_WORKLOAD)
    ] = None
    optimizer: Annotated[
        str | None,
        typer.Option(help="One of torch's own, such as adamw or sgd.", rich_help_panel=_WORKLOAD),
    ] = None
    optimizer_arguments: Annotated[
        list[str] | None,
        typer.Option(
            "--optimizer-arg",
            metavar="NAME=VALUE",
            help="An argument of the optimizer, such as momentum=0.9; repeatable.",
            rich_help_panel=_WORKLOAD,
        ),
    ] = None
    gradient_accumulation_steps: Annotated[
        int | None,
        typer.Option(
            "--accumulate", help="Micro-batches before one step.", rich_help_panel=_WORKLOAD
        ),
    ] = None
    device: Annotated[
        str | None,
        typer.Option(
            "--device", "-d", help="A device: see `headroom devices`.", rich_help_panel=_WHERE
        ),
    ] = None
    checkpointing: Annotated[
        Literal["none", "full"] | None,
        typer.Option(help="Gradient checkpointing of the units.", rich_help_panel=_WHERE),
    ] = None

    def body(self) -> dict[str, Any]:
        """The request as JSON-ready data: the file's, with everything said on the command line.

        Raises:
            CliError: no model is named, or two are.
        """
        document = read_document(self.source) if self.source is not None else {}
        body = dict(document) if is_request(document) else {}
        body["model"] = self._model(body.get("model"), {} if body else document)
        _merge(body, "workload", self._workload())
        optimizer = self._optimizer()
        if optimizer:
            _merge(body["workload"], "optimizer", optimizer)
        _merge(body, "strategy", _given(checkpointing=self.checkpointing))
        body.update(_given(device=self.device))
        return {key: value for key, value in body.items() if value != {}}

    def _model(self, model: dict[str, Any] | None, config: dict[str, Any]) -> dict[str, Any]:
        if self.preset is not None:
            if self.source is not None or self.model_type is not None:
                raise usage_error(
                    "--preset is a whole description: leave out MODEL and --model-type"
                )
            return {"source": "preset", **_given(name=self.preset, size=self.size)}
        model = dict(model) if model else {"source": "transformers", "config": config}
        if model.get("source") == "transformers":
            model["config"] = self._config(model.get("config") or {})
            model.setdefault("task", guess_task(model["config"]) or "text-generation")
        model.update(
            _given(
                task=self.task,
                attention=self.attention,
                experts=self.experts,
                lora=None if self.lora_rank is None else {"r": self.lora_rank},
                freeze=self.freeze or None,
                train=self.train or None,
            )
        )
        return model

    def _config(self, config: dict[str, Any]) -> dict[str, Any]:
        config = {**config, **_given(model_type=self.model_type)}
        for assignment in self.assignments or []:
            assign(config, assignment)
        if "model_type" not in config:
            raise usage_error(
                "no model is named: give a config.json, a model folder, --model-type or --preset"
            )
        return config

    def _workload(self) -> dict[str, Any]:
        return _given(
            mode=self.mode,
            batch_size=self.batch_size,
            sequence_length=self.sequence_length,
            target_length=self.target_length,
            new_tokens=self.new_tokens,
            cache=self.cache,
            image_size=self.image_size,
            precision=self.precision,
            gradient_accumulation_steps=self.gradient_accumulation_steps,
        )

    def _optimizer(self) -> dict[str, Any]:
        optimizer = _given(name=self.optimizer)
        for argument in self.optimizer_arguments or []:
            name, separator, text = argument.partition("=")
            if not separator:
                raise usage_error(f"--optimizer-arg {argument}: write it as NAME=VALUE")
            optimizer[name] = parse_value(text)
        return optimizer


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every option of `RequestOptions`, handed to it as its first argument."""
    types = get_type_hints(RequestOptions, include_extras=True)
    shared = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=types[field.name]
        )
        for field in fields(RequestOptions)
    ]
    names = {parameter.name for parameter in shared}
    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in list(signature.parameters.values())[1:]
    ]

    @functools.wraps(command)
    def wrapper(**values: Any) -> None:
        options = RequestOptions(**{name: values.pop(name) for name in names})
        command(options, **values)

    del wrapper.__wrapped__  # so that the signature below is the one that is read
    wrapper.__signature__ = signature.replace(parameters=shared + own)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in shared + own}
    return wrapper


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _merge(body: dict[str, Any], section: str, values: dict[str, Any]) -> None:
    existing = body.get(section)
    body[section] = {**(existing if isinstance(existing, dict) else {}), **values}
