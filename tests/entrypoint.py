"""The words by which the entrypoints of WSO2's images copy volumes over the home, before they start the server."""

from membership.wso2.volumes import FOLDER, SERVER, Image


def copy_words(image: Image, home: str | None = None, folder: str = FOLDER) -> str:
    """As in the image: under set -e, in its order. Volumes are in `folder`; `home` is the product's, if not in FOLDER.

    The scripts of wso2-server-volume neither look whether it is empty nor follow links.
    """
    target = home or f"{folder}/{image.home}"
    return "; ".join(["set -e", *(_copy_one(f"{folder}/{volume}", target) for volume in image.volumes), "true"])


def _copy_one(volume: str, home: str) -> str:
    if volume.endswith(SERVER):
        return f"test -d {volume} && cp -r {volume}/* {home}/"
    return f'test -d {volume} && [ "$(ls -A {volume})" ] && cp -RL {volume}/* {home}/'
