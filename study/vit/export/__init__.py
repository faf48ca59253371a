"""Trained models as files.

pretrained   weights and config as two files, for `study.load` and the Hugging Face Hub
onnx         ONNX files in float32 and with int8 weights
benchmark    exports to ONNX and measures size, latency and accuracy
form         the measurements of one exported file
latency      latency of a model in PyTorch
"""
