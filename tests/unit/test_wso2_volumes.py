"""The volumes of `membership profiles`: against the facts, and by the copies themselves."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from membership.render.profiles import profiles_json, profiles_text
from membership.wso2.profiles import PROFILES
from membership.wso2.volumes import ARTIFACT, CONFIG, IMAGES, PATCH, SERVER, Image
from tests.entrypoint import copy_words

# wso2.md section 2, as far as it says which image copies what as whom; read again in the images' repositories.
FACTS = [
    (("is", "5.5", "7.3"), "802:802", (CONFIG, ARTIFACT)),
    (("am", "2.2", "3.0"), "802:802", (CONFIG, ARTIFACT)),
    (("am", "3.1", "3.1"), "802:802", (CONFIG, ARTIFACT, PATCH)),
    (("am", "3.2", "4.2"), "802:802", (CONFIG, ARTIFACT)),
    (("am", "4.3", "4.7"), "10001:10001", (CONFIG, ARTIFACT)),
    (("ei", "6.2", "6.6"), "802:802", (CONFIG, ARTIFACT)),
    (("mi", "4.0", "4.3"), "802:802", (CONFIG,)),
    (("mi", "4.4", "4.6"), "10802:10802", (CONFIG,)),
    (("sp", "4.2", "4.2"), "802:802", (SERVER,)),
    (("sp", "4.3", "4.4"), "802:802", (CONFIG, ARTIFACT)),
]


def key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


@pytest.mark.parametrize(("images", "user", "volumes"), FACTS)
def test_each_image_is_as_the_facts_say(images: tuple[str, str, str], user: str, volumes: tuple[str, ...]) -> None:
    family, first, last = images
    found = [
        image
        for product, image in IMAGES.items()
        if product.startswith(f"{family}-") and key(first) <= key(product.split("-")[1]) <= key(last)
    ]
    assert found and {(image.user, image.volumes) for image in found} == {(user, volumes)}


def test_every_product_that_takes_a_list_has_a_volume_for_it() -> None:
    # Identity Server to 5.3 and API Manager 2.0 had images that copied other folders, Open Banking 4 has none.
    assert set(PROFILES) - set(IMAGES) == {"is-5.1", "is-5.2", "is-5.3", "am-2.0", "ob-4.0"}
    assert all(IMAGES[product].volumes[-1] in (ARTIFACT, PATCH) for product in PROFILES if product in IMAGES)


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stands for /home/wso2carbon."""
    for image in IMAGES.values():
        (tmp_path / image.home).mkdir(exist_ok=True)
    return tmp_path


def copy(image: Image, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", copy_words(image, folder=str(folder))], capture_output=True, text=True)


@pytest.mark.parametrize("product", ["is-7.1", "ei-6.6", "am-3.1", "mi-4.6", "sp-4.2"])
def test_files_arrive_and_the_later_volume_wins(folder: Path, product: str) -> None:
    image = IMAGES[product]
    for volume in (CONFIG, ARTIFACT, PATCH, SERVER):
        put(folder / volume / "repository/conf/all", volume)
        put(folder / volume / f"lib/{volume}.jar", "")
    assert copy(image, folder).returncode == 0
    home = folder / image.home
    assert (home / "repository/conf/all").read_text() == image.volumes[-1]
    assert {path.stem for path in (home / "lib").iterdir()} == set(image.volumes)
    assert [Path(source).name for source, _ in image.copies] == list(image.volumes)
    assert {target for _, target in image.copies} == {f"/home/wso2carbon/{image.home}/"}


def test_what_the_table_warns_of(folder: Path) -> None:
    put(folder / CONFIG / ".ready", "")
    failed = copy(IMAGES["is-7.1"], folder)
    assert failed.returncode != 0 and "cannot stat" in failed.stderr, "only names that begin with a dot"
    (folder / SERVER).mkdir()
    assert copy(IMAGES["sp-4.2"], folder).returncode != 0, "an empty wso2-server-volume"
    put(folder / SERVER / "..data/a.yaml", "text")
    (folder / SERVER / "a.yaml").symlink_to("..data/a.yaml")
    assert copy(IMAGES["sp-4.2"], folder).returncode == 0
    assert not (folder / IMAGES["sp-4.2"].home / "a.yaml").exists(), "a ConfigMap's links lead nowhere there"


def test_the_command_prints_source_and_target() -> None:
    text = profiles_text()
    for image in IMAGES.values():
        sources = ", ".join(f"{volume}/*" for volume in image.volumes)
        assert re.search(rf"(?m)^{image.product} +{image.user} +{re.escape(sources)} +{image.home}/", text)
    printed = {image["product"]: image["copies"] for image in json.loads(profiles_json())["images"]}
    assert printed["am-3.1"][-1] == {
        "source": "/home/wso2carbon/wso2-patch-volume/",
        "target": "/home/wso2carbon/wso2am-3.1.0/",
    }
    assert list(printed) == list(IMAGES)
