"""A tiny Llama as a GGUF file, as llama.cpp writes them."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.checkpoints import make_tokenizer

_HIDDEN, _WIDE, _HEADS, _KEYS = 32, 64, 4, 2


def write_gguf(file: Path) -> Path:
    """Write random weights of one layer with the tests' own tokenizer; returns `file`."""
    import gguf

    tokenizer = make_tokenizer()
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(_HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_WIDE)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_KEYS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token.startswith("<|") else 1 for token in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(vocabulary["<|bos|>"])
    writer.add_eos_token_id(vocabulary["<|eos|>"])
    writer.add_pad_token_id(vocabulary["<|pad|>"])
    draw = np.random.default_rng(0)

    def weights(*shape: int) -> NDArray[np.float32]:
        return draw.standard_normal(shape).astype(np.float32)

    key = _HIDDEN // _HEADS * _KEYS
    shapes = {
        "token_embd": (len(tokens), _HIDDEN),
        "output_norm": (_HIDDEN,),
        "blk.0.attn_norm": (_HIDDEN,),
        "blk.0.ffn_norm": (_HIDDEN,),
        "blk.0.attn_q": (_HIDDEN, _HIDDEN),
        "blk.0.attn_k": (key, _HIDDEN),
        "blk.0.attn_v": (key, _HIDDEN),
        "blk.0.attn_output": (_HIDDEN, _HIDDEN),
        "blk.0.ffn_gate": (_WIDE, _HIDDEN),
        "blk.0.ffn_up": (_WIDE, _HIDDEN),
        "blk.0.ffn_down": (_HIDDEN, _WIDE),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", weights(*shape))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
