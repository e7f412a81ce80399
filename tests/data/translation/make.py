"""Makes marian.zip: a tiny Marian model that has learnt a dozen German sentences by heart, with
what transformers and torch make of some texts.

    python3 -m venv here && here/bin/pip install torch==2.6.0 transformers==4.48.3 optimum==1.24.0 \
        onnx==1.17.0 onnxruntime sentencepiece sacremoses
    here/bin/python make.py

The archive is laid out as a repository of the hub: `source.spm` and `vocab.json` of a real
SentencePiece training, the encoder's graph and the merged decoder's in `onnx/`. Weights are
multiples of 1/256, so that it stays small. `reference.json` holds for each text its tokens, the
tokens that greedy search writes, and what they say; and the logits after the first two tokens
of the first text.
"""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import sentencepiece
import torch
from optimum.exporters.onnx import main_export
from transformers import MarianConfig, MarianMTModel, MarianTokenizer

HERE = Path(__file__).parent
PAIRS = [
    ("Wer bist du?", "Who are you?"),
    ("Wo bist du jetzt?", "Where are you now?"),
    ("Ich bin hier.", "I am here."),
    ("Bist du tot?", "Are you dead?"),
    ("Ich bin müde.", "I am tired."),
    ("Wer war hier?", "Who was here?"),
    ("Es ist kalt.", "It is cold."),
    ("Hörst du mich?", "Do you hear me?"),
    ("Ich höre dich.", "I hear you."),
    ("Wo war ich?", "Where was I?"),
    ("Es ist spät, und ich bin müde.", "It is late, and I am tired."),
    ("Es war dunkel.", "It was dark."),
]
# Beside those: odd spaces, a character that another stands for, and one that nothing stands for.
TEXTS = [german for german, _ in PAIRS] + ["  Ich   bin hier.", "Wer bist du？", "Wer ☂ bist du?"]


def cutter(sentences, size):
    """A SentencePiece model in which a full-width question mark is a plain one."""
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        rules.write("FF1F\t3F\n2026\t2E 2E 2E\n")
        rules.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences * 4), model_writer=model, vocab_size=size, hard_vocab_limit=False,
            character_coverage=1.0, normalization_rule_tsv=rules.name, minloglevel=2, bos_id=-1, num_threads=1)
    return model.getvalue()


def tokenizer(folder):
    source, target = (cutter([pair[side] for pair in PAIRS], 40) for side in (0, 1))
    pieces = ["</s>", "<unk>"]
    for model in (source, target):
        reader = sentencepiece.SentencePieceProcessor(model_proto=model)
        pieces += [p for p in map(reader.id_to_piece, range(reader.get_piece_size())) if p not in pieces]
    pieces.append("<pad>")
    (folder / "source.spm").write_bytes(source)
    (folder / "target.spm").write_bytes(target)
    (folder / "vocab.json").write_text(json.dumps({piece: at for at, piece in enumerate(pieces)}))
    paths = {name: str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")}
    return MarianTokenizer(paths["source.spm"], paths["target.spm"], paths["vocab.json"],
                           source_lang="de", target_lang="en", model_max_length=64)


def trained(words):
    torch.manual_seed(0)
    size = len(words)
    pad = size - 1
    model = MarianMTModel(MarianConfig(
        vocab_size=size, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, max_position_embeddings=64, dropout=0.0,
        activation_function="swish", scale_embedding=True, pad_token_id=pad, eos_token_id=0, bos_token_id=0,
        decoder_start_token_id=pad, forced_eos_token_id=0, static_position_embeddings=True))
    batch = words([german for german, _ in PAIRS], text_target=[english for _, english in PAIRS],
                  return_tensors="pt", padding=True)
    batch["labels"][batch["labels"] == pad] = -100
    ahead = torch.full_like(batch["labels"], pad)
    ahead[:, 1:] = batch["labels"][:, :-1].clone()
    ahead[ahead == -100] = pad
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(400):
        optimiser.zero_grad()
        loss = model(**batch, decoder_input_ids=ahead).loss
        loss.backward()
        optimiser.step()
    print("loss", float(loss))
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights.copy_(torch.round(weights * 256) / 256)
    model.generation_config.bad_words_ids = [[pad]]
    model.generation_config.num_beams = 1
    model.generation_config.max_length = 64
    return model.eval()


def reference(model, words):
    texts = []
    for text in TEXTS:
        read = words([text], return_tensors="pt")
        with torch.no_grad():
            written = model.generate(**read, num_beams=1, do_sample=False)[0].tolist()
        said = words.decode(written, skip_special_tokens=True)
        # Without the token that starts, and the one that ends.
        texts.append(dict(text=text, read=read.input_ids[0].tolist()[:-1], written=written[1:-1], said=said))
        print(text, "→", said)
    first = words([TEXTS[0]], return_tensors="pt")
    with torch.no_grad():
        start = torch.tensor([[model.config.decoder_start_token_id, texts[0]["written"][0]]])
        logits = model(**first, decoder_input_ids=start).logits[0]
    return dict(texts=texts, logits=[[round(float(x), 5) for x in row] for row in logits])


def main():
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryDirectory() as target:
        scratch, target = Path(scratch), Path(target)
        words = tokenizer(scratch)
        model = trained(words)
        told = reference(model, words)
        model.save_pretrained(scratch)
        main_export(str(scratch), output=target, task="text2text-generation-with-past", do_validation=False)
        config = json.loads(model.config.to_json_string())
        config.pop("_name_or_path", None)
        with zipfile.ZipFile(HERE / "marian.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            def add(path, data):
                archive.writestr(zipfile.ZipInfo(path), data, zipfile.ZIP_DEFLATED, 9)

            add("config.json", json.dumps(config))
            add("generation_config.json", (scratch / "generation_config.json").read_text())
            for name in ("source.spm", "vocab.json"):
                add(name, (scratch / name).read_bytes())
            for graph in ("encoder_model", "decoder_model_merged"):
                add(f"onnx/{graph}_quantized.onnx", (target / f"{graph}.onnx").read_bytes())
            add("reference.json", json.dumps(told, ensure_ascii=False))


if __name__ == "__main__":
    main()
