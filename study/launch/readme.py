"""The README beside the files: the exact commands, in the order in which they are needed."""

from study.launch.cluster import OWN_DATA, Cluster, Place, Steps


def text(cluster: Cluster, place: Place, steps: Steps) -> str:
    """Markdown. Of what a user wrote only names that are held to letters, digits and a few marks are in it."""
    sections = {
        "Once": _block(steps.prepare),
        "Start": _block(steps.start),
        "Watch": _block(steps.watch),
        "Resume": "What is stored is not run again, what failed is tried again.\n\n" + _block(steps.resume),
        "Stop": "What has finished is stored.\n\n" + _block(steps.stop),
        "The report": _block(steps.fetch),
        "MLflow": steps.mlflow.strip(),
        "Secrets": _secrets(cluster),
        "Good to know": _notes(cluster, place, steps),
    }
    body = "\n\n".join(f"## {title}\n\n{section}" for title, section in sections.items())
    return (
        f"# {place.study} on {cluster.title}\n\n"
        f"{_summary(cluster)} Run all commands in the root of the repository.\n"
        f"`{place.folder}/grid.yaml` is the grid as it was when these files were written.\n\n{body}\n"
    )


def _summary(cluster: Cluster) -> str:
    machines = "1 machine" if cluster.nodes == 1 else f"{cluster.nodes} machines"
    with_gpus = f" with {cluster.gpus} GPU{'s' * (cluster.gpus != 1)} each" if cluster.gpus else " without GPUs"
    return f"{machines}{with_gpus}; finished stages go to `{cluster.store}`."


def _block(commands: str) -> str:
    return f"```bash\n{commands.strip()}\n```"


def _secrets(cluster: Cluster) -> str:
    text = (
        "None is in these files. Ray's token is a password: whoever has it can run code on the cluster. It travels "
        "unencrypted between the machines, so they belong on a private network."
    )
    if cluster.store_is_address:
        text += " The bucket is opened with the machines' own credentials."
    return text


def _notes(cluster: Cluster, place: Place, steps: Steps) -> str:
    notes = list(steps.notes)
    own = [name for name in place.datasets if name.startswith(OWN_DATA)]
    if own:
        notes.append("Data sets of your own are read on every machine, each at the path the grid names.")
    notes.append("`python -m study doctor` on a machine says what would trip the sweep there.")
    return "\n".join(f"- {note}" for note in notes)
