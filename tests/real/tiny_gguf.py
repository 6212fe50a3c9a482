"""Writes a tiny llama model with random weights, which llama.cpp loads, talks from and embeds with.

`python tiny_gguf.py OUT.gguf [big]`: under half a megabyte, or more than 100 MB; a byte-level
vocabulary of 268 tokens, a context of 16,384, a ChatML template that shows tools, always the same
weights. What it writes is noise, and it goes on writing until it is stopped.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

CONTEXT = 16_384
SEED = 0

MERGES = ("t h", "th e", "i n", "a n", "e r", "o n", "Ġ a", "Ġ the")
END = "<|im_end|>"
CONTROL = ("<|bos|>", "<|eos|>", "<|im_start|>", END)
CHATML = """\
{%- if tools %}<|im_start|>system
# Tools
<tools>
{%- for tool in tools %}
{{ tool | tojson }}
{%- endfor %}
</tools>
For each call answer with a JSON object in tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>
{%- endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    width: int = 64
    layers: int = 2
    heads: int = 4
    feed_forward: int = 128


TINY = Size()
BIG = Size(width=512, layers=8, heads=8, feed_forward=2048)


def byte_alphabet() -> list[str]:
    """The printable stand-in of each byte, as GPT-2 chose them."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    unprintable = [byte for byte in range(256) if byte not in printable]
    moved = {byte: 256 + n for n, byte in enumerate(unprintable)}
    return [chr(moved.get(byte, byte)) for byte in range(256)]


def vocabulary() -> tuple[list[str], list[gguf.TokenType]]:
    words = byte_alphabet() + [pair.replace(" ", "") for pair in MERGES]
    kinds = [gguf.TokenType.NORMAL] * len(words) + [gguf.TokenType.CONTROL] * len(CONTROL)
    return [*words, *CONTROL], kinds


def shapes(size: Size, words: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Every tensor's name and shape, for a vocabulary of so many words; the norms are vectors."""
    yield "token_embd", (words, size.width)
    yield "output_norm", (size.width,)
    yield "output", (words, size.width)
    for layer in range(size.layers):
        for name in ("attn_norm", "ffn_norm"):
            yield f"blk.{layer}.{name}", (size.width,)
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            yield f"blk.{layer}.{name}", (size.width, size.width)
        for name in ("ffn_gate", "ffn_up"):
            yield f"blk.{layer}.{name}", (size.feed_forward, size.width)
        yield f"blk.{layer}.ffn_down", (size.width, size.feed_forward)


def describe(writer: gguf.GGUFWriter, size: Size, words: int) -> None:
    writer.add_name("tiny-random-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(size.width)
    writer.add_block_count(size.layers)
    writer.add_feed_forward_length(size.feed_forward)
    writer.add_head_count(size.heads)
    writer.add_head_count_kv(size.heads)
    writer.add_rope_dimension_count(size.width // size.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(words)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def teach_words(writer: gguf.GGUFWriter, words: list[str], kinds: list[gguf.TokenType]) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(words.index("<|bos|>"))
    writer.add_eos_token_id(words.index(END))
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHATML)


def write(path: Path, size: Size) -> None:
    words, kinds = vocabulary()
    random = np.random.default_rng(SEED)
    writer = gguf.GGUFWriter(path, "llama")
    describe(writer, size, len(words))
    teach_words(writer, words, kinds)
    for name, shape in shapes(size, len(words)):
        noise = random.standard_normal(shape) * 0.1
        weights = np.ones(shape) if len(shape) == 1 else noise
        if name == "output":
            weights[words.index(END)] = 0.0  # or it would stop by chance
        writer.add_tensor(f"{name}.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(Path(sys.argv[1]), BIG if "big" in sys.argv[2:] else TINY)
