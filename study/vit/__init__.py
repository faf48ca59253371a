"""What is studied: lightweight vision transformers with mixtures of experts.

subject, runner, model_files   what the harness uses of this room
settings, stages               every setting of a trial; the stages of a trial
counts                         parameters and multiply-adds in closed form
data, augmentations            data sets; random changes to training images
models, optimizers, training   the models; optimizers; training of one stage
export                         trained models as files
"""
