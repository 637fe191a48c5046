# Makes a model of opt-125m's shape that nothing was trained into: a configuration and a tokenizer, no
# weights (vLLM makes random ones with --load-format dummy). Its argument is the directory to write.
import json
import pathlib
import sys

from tokenizers import ByteLevelBPETokenizer

out = pathlib.Path(sys.argv[1])
out.mkdir(parents=True, exist_ok=True)

# Trained on one sentence, so that the manual's prompt has four tokens.
tokenizer = ByteLevelBPETokenizer()
tokenizer.train_from_iterator(
    ["San Francisco is a city in California."],
    vocab_size=300,
    min_frequency=1,
    special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
)
tokenizer.save(str(out / "tokenizer.json"))

special = {"bos_token": "</s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "</s>"}
(out / "tokenizer_config.json").write_text(
    json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 2048, **special})
)
(out / "config.json").write_text(
    json.dumps(
        {
            "architectures": ["OPTForCausalLM"],
            "model_type": "opt",
            "vocab_size": 50272,
            "hidden_size": 768,
            "word_embed_proj_dim": 768,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "ffn_dim": 3072,
            "max_position_embeddings": 2048,
            "do_layer_norm_before": True,
            "activation_function": "relu",
            "dropout": 0.1,
            "attention_dropout": 0.0,
            "layerdrop": 0.0,
            "init_std": 0.02,
            "bos_token_id": 2,
            "eos_token_id": 2,
            "pad_token_id": 1,
            "torch_dtype": "float16",
            "use_cache": True,
        }
    )
)
