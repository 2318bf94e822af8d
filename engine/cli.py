"""`python -m engine generate | serve | bench`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from engine.checkpoint import SHIPPED, checkpoint_path
from engine.errors import EngineError, RequestError
from engine.llm import LLM, Prompt
from engine.params import SamplingParams

# Fields of SamplingParams that are flags of `generate`, and what is read from the command line.
FLAGS: dict[str, Any] = {
    "temperature": float, "max_tokens": int, "min_tokens": int, "seed": int, "n": int, "top_k": int, "top_p": float, "min_p": float,
    "typical_p": float, "mirostat_tau": float, "mirostat_eta": float, "repetition_penalty": float, "presence_penalty": float,
    "frequency_penalty": float, "guidance_scale": float, "negative_prompt": str, "beam_width": int, "length_penalty": float, "logprobs": int,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 0, 1 for an engine's error, 2 for a wrong command line."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["bench"]:
        from engine.bench import main as bench

        return bench(argv[1:])
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args))
    except (EngineError, OSError) as error:
        print(f"engine: {error}", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, BrokenPipeError):
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engine", description="The reference inference engine.")
    commands = parser.add_subparsers(required=True, metavar="generate | serve | bench")

    generate = commands.add_parser("generate", help="answer one prompt")
    _engine_flags(generate)
    generate.add_argument("--prompt", help="default: standard input")
    generate.add_argument("--chat", action="store_true", help="the prompt is a user's message, put into the checkpoint's chat template")
    generate.add_argument("--stream", action="store_true", help="print the text as it comes")
    generate.add_argument("--json", action="store_true", help="print one JSON object: text, token ids, log-probabilities, metrics")
    generate.add_argument("--stop", action="append", default=[], help="a stop string; may be given again")
    generate.add_argument("--grammar", type=Path, help="a file with a GBNF grammar")
    generate.add_argument("--json-schema", type=Path, help="a file with a JSON schema")
    generate.add_argument("--heal", action="store_true", help="token healing at the end of the prompt")
    generate.add_argument("--use", metavar="ADAPTER", help="the adapter to answer with")
    for name, kind in FLAGS.items():
        generate.add_argument(f"--{name.replace('_', '-')}", type=kind)
    generate.set_defaults(run=_generate)

    serve = commands.add_parser("serve", help="serve OpenAI's HTTP API")
    _engine_flags(serve)
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=int, default=8100)
    serve.add_argument("--name", help="the model's name for clients; default: the folder's")
    serve.add_argument("--max-open", type=int, default=256, help="requests open at once; one more is answered 429")
    serve.set_defaults(run=_serve)

    commands.add_parser("bench", help="measure; see `python -m engine bench --help`")
    return parser


def _engine_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="a checkpoint's folder, or target or draft for the shipped ones")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--kernels", choices=["torch", "triton"], help="default: Triton's on a GPU in reduced precision, else torch's")
    parser.add_argument("--batch-invariant", action="store_true", help="the same bits for a request whatever else is in the batch (Triton's kernels)")
    parser.add_argument("--draft", help='a smaller checkpoint with the same vocabulary, or "ngram"')
    parser.add_argument("--draft-tokens", type=int, default=4)
    parser.add_argument("--acceptance", default="rejection", choices=["rejection", "coupled"],
                        help="of drafts: the most that the law allows, or the very tokens that a seed gives without them, whoever else is served")  # fmt: skip
    parser.add_argument("--n-pages", type=int)
    parser.add_argument("--page-size", type=int, default=16)
    parser.add_argument("--kv-codec", choices=["int8", "fp8"])
    parser.add_argument("--prefix-cache", default="hash", choices=["hash", "radix", "none"])
    parser.add_argument("--max-running", type=int, default=64)
    parser.add_argument("--max-batch-tokens", type=int, default=2048)
    parser.add_argument("--adapter", action="append", default=[], metavar="NAME=FOLDER", help="a LoRA adapter; may be given again")


def _folder(name: str) -> str | Path:
    return checkpoint_path(name) if not Path(name).exists() and (SHIPPED / name).is_dir() else name


def _text(path: Path | None) -> str:
    """A file's, or standard input's. RequestError where it is no text."""
    try:
        return path.read_text("utf-8") if path is not None else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise RequestError(f"{path or 'standard input'}: no text in UTF-8: {error}") from None


def _load(args: argparse.Namespace) -> LLM:
    draft = args.draft if args.draft in (None, "ngram") else _folder(args.draft)
    llm = LLM(_folder(args.checkpoint), args.dtype, args.device, kernels=args.kernels, batch_invariant=args.batch_invariant,
              n_pages=args.n_pages, page_size=args.page_size, kv_codec=args.kv_codec,
              prefix_cache=None if args.prefix_cache == "none" else args.prefix_cache, draft=draft, draft_tokens=args.draft_tokens,
              acceptance=args.acceptance, max_running=args.max_running, max_batch_tokens=args.max_batch_tokens)  # fmt: skip
    for adapter in args.adapter:
        name, given, folder = adapter.partition("=")
        if not given:
            raise RequestError(f"--adapter {adapter}: write NAME=FOLDER")
        llm.load_adapter(name, folder)
    return llm


def _generate(args: argparse.Namespace) -> int:
    given: dict[str, Any] = {name: value for name in FLAGS if (value := getattr(args, name)) is not None}
    params = SamplingParams(
        **{f.name: f.default for f in fields(SamplingParams) if f.name in FLAGS and f.default is not MISSING} | {"max_tokens": 128} | given,
        stop=args.stop, heal=args.heal, grammar=_text(args.grammar) if args.grammar else None,
        json_schema=_text(args.json_schema) if args.json_schema else None,
    )  # fmt: skip
    llm = _load(args)
    prompt: Prompt = args.prompt if args.prompt is not None else _text(None)
    if args.chat:
        if llm.tokenizer is None:
            raise RequestError("this checkpoint has no tokenizer, so it has no chat template")
        prompt = llm.tokenizer.chat_ids([{"role": "user", "content": prompt}])
    if args.stream and params.n == 1 and params.beam_width is None and not args.json:
        for output in llm.stream(prompt, params, adapter=args.use):
            print(output.delta, end="", flush=True)
        print()
        return 0
    output = llm.generate([prompt], params, adapter=args.use)[0]
    if args.json:
        print(json.dumps({"prompt_token_ids": output.prompt_token_ids, "outputs": [vars(one) for one in output.outputs], "metrics": output.metrics,
                          "stats": llm.stats()}, indent=1))  # fmt: skip
    else:
        print(("\n" + "-" * 20 + "\n").join(one.text for one in output.outputs))
    return 0


def _serve(args: argparse.Namespace) -> int:
    import uvicorn

    from engine.server.app import Api

    llm = _load(args)
    api = Api(llm, args.name or Path(args.checkpoint).name, args.max_open)
    config = uvicorn.Config(api.app(), host=args.host, port=args.port, log_level="info", access_log=False, timeout_graceful_shutdown=20)
    server = uvicorn.Server(config)

    def end() -> None:
        server.should_exit = True

    api.engine.broken = end  # a server that can't answer any more had better be started anew by whoever runs it
    server.run()
    return 1 if api.engine.failure is not None or not server.started else 0
