"""Names that other tools use for a key or a field, and the names it may have here: for "did you mean" in messages.

The first valid one is suggested. A test holds that each of them exists.
"""

from collections.abc import Iterable

SYNONYMS: dict[str, tuple[str, ...]] = {
    # keys of a grid
    **dict.fromkeys(("seeds", "repeats", "repetitions", "runs", "n_seeds", "num_replicates"), ("replicates",)),
    "name": ("study", "label"),
    **dict.fromkeys(("experiment", "title"), ("study",)),
    **dict.fromkeys(("description", "goal"), ("question",)),
    **dict.fromkeys(("base", "defaults", "config", "settings"), ("baseline",)),
    **dict.fromkeys(("sweep", "variables"), ("factors",)),
    "grid": ("factors", "factorial"),
    **dict.fromkeys(("hypotheses", "hypothesis"), ("claims", "claim")),
    **dict.fromkeys(("values", "options"), ("levels", "value", "choices")),
    **dict.fromkeys(("field", "key", "parameter"), ("path",)),
    **dict.fromkeys(("skip", "filter"), ("exclude",)),
    **dict.fromkeys(("random_seed",), ("seed",)),
    **dict.fromkeys(("cpus", "num_cpus"), ("cpu",)),
    **dict.fromkeys(("gpus", "num_gpus"), ("gpu",)),
    **dict.fromkeys(("n_trials", "num_samples"), ("budget", "trials")),
    **dict.fromkeys(("objective", "metrics"), ("objectives", "metric")),
    "trials": ("budget",),
    "budget": ("trials",),
    "space": ("parameters",),
    "parameters": ("space",),
    "min": ("low",),
    "max": ("high",),
    # designs
    **dict.fromkeys(("full", "full_factorial", "all", "grid_search", "product", "cartesian"), ("factorial",)),
    **dict.fromkeys(("ablation", "ofat", "one_at_a_time", "single"), ("one_factor",)),
    **dict.fromkeys(("loo", "remove_one"), ("leave_one_out",)),
    **dict.fromkeys(("optuna", "bayesian", "random"), ("search",)),
    # metrics
    **dict.fromkeys(("accuracy", "acc", "test_acc", "top1", "top_1"), ("test_accuracy", "val_accuracy")),
    **dict.fromkeys(("val_acc", "validation_accuracy"), ("val_accuracy",)),
    **dict.fromkeys(("time", "seconds", "training_time", "train_time"), ("train_seconds",)),
    **dict.fromkeys(("parameter_count", "num_params", "n_params"), ("params",)),
    **dict.fromkeys(("flops", "mac"), ("macs",)),
    **dict.fromkeys(("latency", "latency_ms"), ("fp32_ms",)),
    # sections
    **dict.fromkeys(("model", "architecture", "vit", "backbone"), ("encoder",)),
    **dict.fromkeys(("pretraining", "pre_training", "pre-training", "mae"), ("pretrain",)),
    **dict.fromkeys(("training", "train", "finetuning", "fine_tune", "fine-tuning", "optim"), ("finetune",)),
    # fields
    **dict.fromkeys(("lr", "base_lr", "max_lr"), ("learning_rate",)),
    **dict.fromkeys(("batch", "bs", "batchsize"), ("batch_size",)),
    **dict.fromkeys(("wd", "decay"), ("weight_decay",)),
    **dict.fromkeys(("warmup", "warmup_steps", "lr_warmup"), ("warmup_epochs",)),
    **dict.fromkeys(("clip", "grad_clip", "gradient_clipping", "max_grad_norm"), ("clip_norm",)),
    **dict.fromkeys(("data", "dataset_name", "data_set"), ("dataset",)),
    **dict.fromkeys(("num_epochs", "n_epochs"), ("epochs",)),
    **dict.fromkeys(("opt", "optim_name"), ("optimizer",)),
    **dict.fromkeys(("augmentation", "augmentations", "aug"), ("augment",)),
    **dict.fromkeys(("smoothing", "label_smooth"), ("label_smoothing",)),
    **dict.fromkeys(("masking_ratio", "mask"), ("mask_ratio",)),
    **dict.fromkeys(("dim", "embed_dim", "hidden_size", "hidden_dim", "d_model", "embedding_dim"), ("width",)),
    **dict.fromkeys(("layers", "n_layers", "num_layers", "blocks", "n_blocks"), ("depth",)),
    **dict.fromkeys(("heads", "n_heads", "num_attention_heads", "attention_heads"), ("num_heads",)),
    **dict.fromkeys(("kv_heads", "n_kv_heads", "num_key_value_heads"), ("num_kv_heads",)),
    **dict.fromkeys(("num_experts", "n_experts", "experts"), ("experts_by_depth", "num_experts")),
    **dict.fromkeys(("topk", "k", "num_experts_per_tok"), ("top_k",)),
    **dict.fromkeys(("ffn_width", "ffn_dim", "mlp_dim", "intermediate_size"), ("ffn_width_first", "ffn_width")),
    **dict.fromkeys(("patch",), ("patch_size",)),
    **dict.fromkeys(("img_size", "image", "input_size"), ("image_size",)),
    **dict.fromkeys(("in_chans", "num_channels"), ("channels",)),
    **dict.fromkeys(("size",), ("preset",)),
    **dict.fromkeys(("pool",), ("pooling",)),
}


def meant_by(word: object, possible: Iterable[str]) -> str | None:
    """The valid name for which `word` is a common other name; None if there is none."""
    names = set(possible)
    return next((name for name in SYNONYMS.get(str(word).lower(), ()) if name in names), None)
