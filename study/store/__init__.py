"""Results on disk or in object storage, addressed by content.

results          finished stages, failures, checkpoints and small records
leases           which driver computes which stage
exported_models  size and latency of exported models
verify           checksums of stored stages
backends/        a folder, or object storage
"""
