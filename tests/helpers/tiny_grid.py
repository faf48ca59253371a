"""A tiny study for tests: every kind of stage on real data, in seconds."""

TINY = """\
study: tiny
question: Do all parts work together?
baseline:
  encoder:
    image_size: 8
    patch_size: 2
    channels: 1
    width: 16
    depth: 2
    num_heads: 2
    num_kv_heads: 1
    experts_by_depth: [2, 3]
    ffn_width_first: 8
    ffn_width_last: 4
  pretrain:
    dataset: digits
    epochs: 1
    train_images: 100
    decoder: {width: 16, depth: 1, ffn_width: 8, num_heads: 2, num_kv_heads: 1}
  finetune: {dataset: digits, epochs: 2, train_images: 100}
factors:
  kv heads: {path: encoder.num_kv_heads, levels: [1, 2]}
  mode: {path: finetune.mode, levels: [finetune, probe]}
  pre-training: {path: pretrain, levels: [null], baseline: digits}
replicates: 2
"""

ONE_REPLICATE = TINY.replace("replicates: 2", "replicates: 1")
