"""The README of a launch: the exact commands, in the order of use."""

from study.launch.cluster import OWN_DATA, Cluster, Place, Steps
from study.utils.text import plural


def text(cluster: Cluster, place: Place, steps: Steps) -> str:
    """Markdown. User input in it consists of validated names only."""
    sections = {
        "Set up": _block(steps.prepare),
        "Start": _block(steps.start),
        "Watch": _block(steps.watch),
        "Resume": "Stored stages are not run again; failed stages are retried.\n\n" + _block(steps.resume),
        "Stop": "Finished stages stay in the store.\n\n" + _block(steps.stop),
        "Report": _block(steps.fetch),
        "MLflow": steps.mlflow.strip(),
        "Secrets": _secrets(cluster),
        "Notes": _notes(cluster, place, steps),
    }
    body = "\n\n".join(f"## {title}\n\n{section}" for title, section in sections.items())
    return (
        f"# {place.study} on {cluster.title}\n\n"
        f"{_summary(cluster)} Run all commands in the root of the repository.\n"
        f"`{place.folder}/grid.yaml` is a copy of the grid from when these files were written.\n\n{body}\n"
    )


def _summary(cluster: Cluster) -> str:
    machines = plural(cluster.nodes, "machine")
    with_gpus = f" with {cluster.gpus} GPU{'s' * (cluster.gpus != 1)} each" if cluster.gpus else " without GPUs"
    return f"{machines}{with_gpus}; finished stages are stored in `{cluster.store}`."


def _block(commands: str) -> str:
    return f"```bash\n{commands.strip()}\n```"


def _secrets(cluster: Cluster) -> str:
    text = (
        "These files contain no secrets. Ray's token is a password: anyone who has it can run code on the cluster. It "
        "is sent unencrypted between the machines, so keep them on a private network."
    )
    if cluster.store_is_address:
        text += " The machines access the bucket with their own credentials."
    return text


def _notes(cluster: Cluster, place: Place, steps: Steps) -> str:
    notes = list(steps.notes)
    own = [name for name in place.datasets if name.startswith(OWN_DATA)]
    if own:
        notes.append("Your own data sets must exist on every machine, at the paths in the grid.")
    notes.append(f"`{cluster.command('doctor', place)}` checks the environment of a machine and suggests fixes.")
    return "\n".join(f"- {note}" for note in notes)
