"""Trained models as files.

pretrained     weights and settings as two files, for `study.load` and the Hugging Face Hub
preprocessing  images as training saw them, from files or Pillow images
onnx           ONNX files in float32 and with int8 weights
benchmark      their size, latency and accuracy; form holds these numbers
torch_latency  latency of a model in PyTorch, an objective of a search
"""
