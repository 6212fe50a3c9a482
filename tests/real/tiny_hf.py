"""Writes a tiny llama model into a download folder as Hugging Face keeps one, for MLX and
Transformers.

`python tiny_hf.py HF_HOME`: the model `tiny/scripted`. Its weights say which word follows which, so
it speaks a script: the last mark of its prompt, which its template chooses, says where it begins.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

# Of the group `local`, which the linters' environment is without.
safetensors: Any = importlib.import_module("safetensors.numpy")
tokenizers: Any = importlib.import_module("tokenizers")

NAME = "tiny/scripted"
REVISION = "0" * 40
END = "<|end|>"
START = "<|start|>"
MARKS = ("<|talk|>", "<|call|>", "<|data|>", "<|long|>")
TALK = ("Steam", " is", " up", ".")
CALL = (
    "<tool_call>",
    '\n{"name": "weather", "arguments": {"city": ',
    '"Oslo"',
    "}}\n",
    "</tool_call>",
)
DATA = ('{"sky": "grey", ', '"sure": true}')
LONG = (" on", " and")
TEMPLATE = """\
<|start|>{% for message in messages %}{{ message.role }}: {{ message.content or '' }}
{%- for tool_call in message.tool_calls or [] %}<tool_call>{{ tool_call.name }}</tool_call>
{%- endfor %}
{% endfor %}
{%- if add_generation_prompt %}
{%- if tools %}<|call|>
{%- elif messages[0].role == 'system' and 'JSON schema' in messages[0].content %}<|data|>
{%- elif messages[-1].content == 'Go on' %}<|long|>
{%- else %}<|talk|>{% endif %}{% endif %}"""
WIDTH_STEP = 64
FEED_FORWARD = 16
HEADS = 4


def tokenizer() -> Any:
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate(alphabet)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(list(map(whole, (START, END, *MARKS))))
    made.add_tokens(list(map(whole, (*TALK, *CALL, *DATA, *LONG))))
    return made


def whole(word: str) -> Any:
    return tokenizers.AddedToken(word, special=word.startswith("<|"), normalized=False)


def script(known: Any) -> dict[int, int]:
    """Which word follows which."""
    talk, call, data, long = MARKS
    chains: tuple[Sequence[str], ...] = (
        (talk, *TALK, END),
        (call, *CALL, END),
        (data, *DATA, END),
        (long, *LONG, LONG[0]),
    )
    follows = [pair for chain in chains for pair in pairwise(chain)]
    return {known.token_to_id(a): known.token_to_id(b) for a, b in follows}


def weights(known: Any, width: int) -> Iterator[tuple[str, Any]]:
    """One layer that adds nothing; the way out turns each word into the one after it."""
    follows, end = script(known), known.token_to_id(END)
    out = np.zeros((width, width), np.float32)
    for word in range(width):
        out[follows.get(word, end), word] = 3.0
    yield "model.embed_tokens", np.eye(width, dtype=np.float32)
    yield "lm_head", out
    yield "model.norm", np.ones(width, np.float32)
    layer = "model.layers.0."
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield layer + norm, np.ones(width, np.float32)
    for part in ("q", "k", "v", "o"):
        yield f"{layer}self_attn.{part}_proj", np.zeros((width, width), np.float32)
    for part in ("gate", "up"):
        yield f"{layer}mlp.{part}_proj", np.zeros((FEED_FORWARD, width), np.float32)
    yield layer + "mlp.down_proj", np.zeros((width, FEED_FORWARD), np.float32)


def config(known: Any, width: int) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "torch_dtype": "float32",
        "hidden_size": width,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": 1,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "vocab_size": width,
        "max_position_embeddings": 16384,
        "tie_word_embeddings": False,
        "bos_token_id": known.token_to_id(START),
        "eos_token_id": known.token_to_id(END),
    }


def write(home: Path) -> None:
    known = tokenizer()
    width = -(-known.get_vocab_size() // WIDTH_STEP) * WIDTH_STEP
    repository = home / "hub" / f"models--{NAME.replace('/', '--')}"
    folder = repository / "snapshots" / REVISION
    folder.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(REVISION, "utf-8")
    tensors = {f"{name}.weight": tensor for name, tensor in weights(known, width)}
    safetensors.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    known.save(str(folder / "tokenizer.json"))
    texts: dict[str, Any] = {
        "config.json": config(known, width),
        "model.safetensors.index.json": {
            "metadata": {},
            "weight_map": dict.fromkeys(tensors, "model.safetensors"),
        },
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START,
            "eos_token": END,
            "pad_token": END,
            "chat_template": TEMPLATE,
        },
    }
    for name, text in texts.items():
        (folder / name).write_text(json.dumps(text), "utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
